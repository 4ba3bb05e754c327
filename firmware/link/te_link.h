/* SPDX-License-Identifier: MIT-0 */
/* The board's end of the serial link: frames in, frames out, and nothing lost in between.
 *
 * A frame is
 *
 *     kind 1 | zero 1 | payload bytes 2 | sequence 4 | payload | CRC-32 of all before 4
 *
 * in little endian, stuffed so that it holds no zero byte (COBS: Cheshire and Baker, IEEE/ACM
 * Transactions on Networking 7(2), 1999) and with a zero byte before and after it. Whatever noise
 * there is, the next zero byte ends it. The host asks, the board answers with the same sequence
 * number; the board speaks unasked only to say that it has dropped a damaged frame.
 *
 * Every request may arrive twice, late or not at all. An input is uploaded under a number that the
 * host chose (`transfer`); bytes that are there already are acknowledged and not taken twice. A run
 * names the transfer and the CRC-32 of the whole input, and its result stays until the next
 * transfer begins: the same request again gives the same result and runs nothing.
 *
 * Hardware independent, no heap, no globals: all state is in a te_link. */
#ifndef TE_LINK_H
#define TE_LINK_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The most bytes of an input, an output or a trace that one frame carries. */
#ifndef TE_LINK_DATA_BYTES
#define TE_LINK_DATA_BYTES 512u
#endif

#define TE_LINK_VERSION       1u
#define TE_LINK_HEAD_BYTES    8u
#define TE_LINK_PAYLOAD_BYTES (TE_LINK_DATA_BYTES + 16u)
#define TE_LINK_FRAME_BYTES   (TE_LINK_HEAD_BYTES + TE_LINK_PAYLOAD_BYTES + 4u)
#define TE_LINK_BUILD_BYTES   8u /* so much of the build's hash goes with every run */
#define TE_LINK_HASH_BYTES    32u

/* What a request asks; its answer has TE_LINK_ANSWER added. Payloads:
 *   IDENTIFY  - or offset 2, bytes 2 -> bytes of the identity 2, offset 2, data: version 1, flags
 * 1, TE_LINK_DATA_BYTES 2, input bytes 4, output bytes 4, arena bytes 4, layers 4, SHA-256 of the
 * model 32, of the build 32, names of board, version and model, each ended by 0 WRITE     transfer
 * 4, offset 4, data          -> transfer 4, bytes received so far 4 RUN       transfer 4, CRC-32 of
 * the input 4, mode 1, count 2, build 8
 *             -> transfer 4, mode 1, count 2, status 4 (below 0 an error, above 0 the early exit
 *                that was taken), cycles 8, fewest 4, most 4, CRC-32 of the output 4
 *   READ      transfer 4, what 1, offset 4, bytes 2 -> transfer 4, what 1, offset 4, data
 *   TRACE     transfer 4, CRC-32 of the input 4, from 4, bytes 4, build 8
 *             -> frames TRACED (transfer 4, offset 4, data), then
 *                transfer 4, status 4, bytes of the whole trace 4, its CRC-32 4
 *   STATUS    - -> clock in Hz 4, board status 4, reset reason 4, stack high-water mark 4
 * and where a request cannot be met, FAILED: kind 1, error 1, detail 4. */
enum {
    TE_LINK_IDENTIFY = 1,
    TE_LINK_WRITE = 2,
    TE_LINK_RUN = 3,
    TE_LINK_READ = 4,
    TE_LINK_TRACE = 5,
    TE_LINK_STATUS = 6,
    TE_LINK_ANSWER = 0x80,
    TE_LINK_TRACED = 0xf0,
    TE_LINK_NOISE = 0xf1, /* sequence 0: a damaged frame was dropped */
    TE_LINK_FAILED = 0xf2
};

enum {
    TE_LINK_BAD_REQUEST = 1,  /* no such request, or its fields make no sense */
    TE_LINK_BAD_TRANSFER = 2, /* another transfer is under way, or none; begin with offset 0 */
    TE_LINK_BAD_OFFSET = 3,   /* bytes are missing before; detail: so many are here */
    TE_LINK_BAD_INPUT = 4,    /* the input is not complete, or not what the host sent */
    TE_LINK_SPENT = 5,        /* the run has overwritten the input: upload it again */
    TE_LINK_BAD_BUILD = 6,    /* this is another firmware */
    TE_LINK_MODEL = 7         /* the model refused the input; detail: its code */
};

/* How a run goes: as it is released, or a traced copy of the model that books cycles by layer. */
enum { TE_LINK_MODE_RELEASE = 0, TE_LINK_MODE_PROFILE = 1, TE_LINK_MODE_TRACE = 2 };

/* What can be read after a run. */
enum { TE_LINK_OUTPUT = 0, TE_LINK_LAYERS = 1 };

/* te_link_device.flags. */
enum {
    TE_LINK_REPEATABLE = 1 << 0, /* the input outlives a run: it can be run again */
    TE_LINK_CAN_TRACE = 1 << 1   /* there is a traced copy of the model */
};

typedef struct {
    uint32_t clock_hz;
    uint32_t board_status;
    uint32_t reset_reason;
    uint32_t stack_bytes;
} te_link_status;

/* Memory whose bytes the host may read. */
typedef struct {
    const void *data;
    uint32_t size_bytes;
} te_link_memory;

/* What the link connects the host with. Functions that return an int32_t give 0, or the model's
 * error code. */
typedef struct {
    uint32_t flags;
    uint32_t input_bytes;  /* of all inputs, one after another */
    uint32_t output_bytes; /* of all outputs */
    uint32_t arena_bytes;
    uint32_t layers;
    const uint8_t *model_sha256;
    const uint8_t *build_sha256;
    const char *board;
    const char *model;
    const char *version;
    void (*send)(uint8_t byte);
    void (*status)(te_link_status *status);
    int32_t (*begin)(void); /* a new input begins */
    int32_t (*take)(const uint8_t *data, uint32_t offset, uint32_t size_bytes);
    int32_t (*run)(uint32_t mode, uint32_t *cycles);
    const te_link_memory *outputs; /* so many that they have output_bytes */
    te_link_memory layer_counts;   /* te_link_layer each */
} te_link_device;

/* Time of one layer in a profiled run. */
typedef struct {
    uint32_t cycles;
    uint32_t calls;
} te_link_layer;

typedef struct {
    uint32_t transfer;
    uint32_t received;
    uint32_t crc;  /* of what was received, running */
    uint8_t began; /* a transfer is under way */
    uint8_t spent;
    uint8_t failed; /* the model refused the input, with code `status` */
    int32_t status;
} te_link_input;

typedef struct {
    uint8_t valid;
    uint8_t mode;
    uint16_t count;
    int32_t status;
    uint64_t cycles;
    uint32_t fewest;
    uint32_t most;
    uint32_t crc;
} te_link_result;

/* A trace is a stream of bytes of which the host asks for a part. */
typedef struct {
    uint32_t sequence;
    uint32_t from;
    uint32_t end;
    uint32_t position;
    uint32_t crc;
    uint32_t held; /* bytes of the stream in the frame that is being filled */
} te_link_stream;

/* All state of a link; read nothing of it. */
typedef struct {
    const te_link_device *device;
    te_link_input input;
    te_link_result result;
    te_link_stream stream;
    uint32_t length; /* bytes of `frame` */
    uint32_t left;   /* bytes until the next code byte */
    uint8_t code;
    uint8_t broken; /* the frame under way cannot be right */
    uint8_t frame[TE_LINK_FRAME_BYTES];
    uint8_t reply[TE_LINK_FRAME_BYTES];
} te_link;

void te_link_start(te_link *link, const te_link_device *device);

/* Takes one byte from the host; where it completes a request, carries it out and answers. */
void te_link_receive(te_link *link, uint8_t byte);

/* Appends bytes to the trace; for te_link_device.run in mode TE_LINK_MODE_TRACE. */
void te_link_trace(te_link *link, const void *data, uint32_t size_bytes);

/* Continues a CRC-32 (IEEE 802.3) over more bytes; begins with 0. */
uint32_t te_link_crc32(uint32_t crc, const void *data, uint32_t size_bytes);

#ifdef __cplusplus
}
#endif

#endif
