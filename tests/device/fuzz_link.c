/* SPDX-License-Identifier: MIT-0 */
/* Feeds arbitrary bytes to the board's end of the link, and aborts where it breaks its own rules.
 *
 * With libFuzzer: clang -fsanitize=fuzzer,address,undefined. Without: -DTE_FUZZ_MAIN gives a program
 * that takes a seed and a number of inputs, and makes them itself.
 *
 * The first byte of an input chooses what the device can do. Then comes one piece after another: a
 * byte of kind, a byte of length n, n bytes. A kind below 128 sends them raw; else they are the
 * payload of a well-formed frame of this kind, damaged in a byte where bit 6 is set. */
#include "te_link.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { INPUT_BYTES = 700, FIRST_BYTES = 5, SECOND_BYTES = 600, LAYERS = 3 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static te_link board;
static uint8_t *first, *second, *input; /* of exactly their size, for the sanitizer */
static te_link_layer *layers;
static uint32_t taken, transfers, runs, sent, zeros;
static int refuse;

static void require(int condition, const char *rule)
{
    if (!condition) {
        (void)fprintf(stderr, "broken: %s\n", rule);
        abort();
    }
}

static void send_byte(uint8_t byte)
{
    sent++;
    zeros += byte == 0;
}

static void status(te_link_status *s)
{
    s->clock_hz = 1;
    s->stack_bytes = 2;
}

static int32_t begin(void)
{
    transfers++;
    taken = 0;
    return refuse == 1 ? -5 : 0;
}

static int32_t take(const uint8_t *data, uint32_t offset, uint32_t size_bytes)
{
    require(refuse != 1, "nothing is taken after a refusal");
    require(offset == taken, "input comes without gaps and never twice");
    require(size_bytes <= INPUT_BYTES - offset, "input comes within its size");
    memcpy(input + offset, data, size_bytes);
    taken += size_bytes;
    return refuse == 2 && taken > 100 ? -6 : 0;
}

static int32_t run(uint32_t mode, uint32_t *cycles)
{
    require(taken == INPUT_BYTES, "only a whole input is run");
    require(mode <= TE_LINK_MODE_TRACE, "modes are known");
    require((board.device->flags & TE_LINK_CAN_TRACE) != 0 || mode == TE_LINK_MODE_RELEASE,
            "no traced copy is run where there is none");
    runs++;
    if ((board.device->flags & TE_LINK_REPEATABLE) == 0) {
        taken = 0; /* spent */
    }
    if (mode == TE_LINK_MODE_TRACE) {
        te_link_trace(&board, input, INPUT_BYTES);
        te_link_trace(&board, input, 0);
        te_link_trace(&board, second, SECOND_BYTES);
    }
    first[0] = input[0];
    second[SECOND_BYTES - 1] = (uint8_t)mode;
    *cycles = 7;
    return 0;
}

static void send_frame(uint8_t kind, const uint8_t *payload, uint32_t bytes, int damaged)
{
    uint8_t frame[8 + 255 + 4] = {kind, 0, (uint8_t)bytes, 0, 1, 2, 3, 4};
    uint32_t crc, start = 0, n = 8 + bytes;
    memcpy(frame + 8, payload, bytes);
    crc = te_link_crc32(0, frame, n);
    for (uint32_t i = 0; i < 4; i++) {
        frame[n++] = (uint8_t)(crc >> (8 * i));
    }
    if (damaged) {
        frame[crc % n] ^= 0x10u;
    }
    te_link_receive(&board, 0);
    while (start <= n) { /* a code byte, and the bytes up to the next zero */
        uint32_t length = 0;
        while (start + length < n && length < 254 && frame[start + length] != 0) {
            length++;
        }
        te_link_receive(&board, (uint8_t)(length + 1));
        for (uint32_t i = 0; i < length; i++) {
            te_link_receive(&board, frame[start + i]);
        }
        start += length + (length < 254);
    }
    te_link_receive(&board, 0);
}

static void *reserve(size_t bytes)
{
    void *memory = calloc(1, bytes);
    require(memory != NULL, "memory");
    return memory;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t hash[TE_LINK_HASH_BYTES] = {1, 2, 3, 4, 5, 6, 7, 8};
    te_link_memory outputs[3];
    te_link_device device = {.input_bytes = INPUT_BYTES,
                             .output_bytes = FIRST_BYTES + SECOND_BYTES,
                             .layers = LAYERS,
                             .model_sha256 = hash,
                             .build_sha256 = hash,
                             .board = "board",
                             .model = "a model with a name",
                             .version = "1",
                             .send = send_byte,
                             .status = status,
                             .begin = begin,
                             .take = take,
                             .run = run};
    size_t place = 1;
    if (size == 0) {
        return 0;
    }
    first = reserve(FIRST_BYTES);
    second = reserve(SECOND_BYTES);
    input = reserve(INPUT_BYTES);
    layers = reserve(LAYERS * sizeof(*layers));
    outputs[0] = (te_link_memory){first, FIRST_BYTES};
    outputs[1] = (te_link_memory){NULL, 0};
    outputs[2] = (te_link_memory){second, SECOND_BYTES};
    device.flags = data[0] & 3u;
    device.outputs = outputs;
    device.layer_counts = (te_link_memory){layers, LAYERS * sizeof(*layers)};
    refuse = data[0] >> 6;
    taken = sent = zeros = 0;
    te_link_start(&board, &device);
    while (place + 2 <= size) {
        const uint8_t kind = data[place];
        const size_t left = size - place - 2;
        const uint32_t bytes = data[place + 1] < left ? data[place + 1] : (uint32_t)left;
        const uint8_t *piece = data + place + 2;
        if (kind >= 128) {
            send_frame(kind & 7u, piece, bytes, (kind & 64) != 0);
        } else {
            for (uint32_t i = 0; i < bytes; i++) {
                te_link_receive(&board, piece[i]);
            }
        }
        place += 2 + bytes;
    }
    /* Whatever came before: a good request is answered by one good frame. */
    te_link_receive(&board, 0);
    sent = zeros = 0;
    send_frame(TE_LINK_STATUS, data, 0, 0);
    require(zeros == 2 && sent == 2 + 1 + 8 + 16 + 4, "after noise the next request is answered");
    free(first);
    free(second);
    free(input);
    free(layers);
    return 0;
}

#ifdef TE_FUZZ_MAIN
static uint32_t state;

static uint32_t draw(uint32_t below)
{
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state % below;
}

/* Adds a request that mostly makes sense: uploads in order, runs of what was uploaded. */
static size_t add_request(uint8_t *to, uint32_t *offset)
{
    static const uint8_t hash[TE_LINK_BUILD_BYTES] = {1, 2, 3, 4, 5, 6, 7, 8};
    uint8_t *payload = to + 2;
    uint8_t zeros_of_input[INPUT_BYTES] = {0};
    const uint32_t crc = te_link_crc32(0, zeros_of_input, INPUT_BYTES);
    const uint32_t likely = *offset < INPUT_BYTES ? (uint32_t)TE_LINK_WRITE : 3 + draw(3);
    const uint32_t kind = draw(3) != 0 ? likely : 1 + draw(6);
    const uint32_t size = draw(200);
    uint32_t n = 0;
    memset(payload, 0, 255);
    switch (kind) {
    case TE_LINK_WRITE:
        payload[4] = (uint8_t)*offset;
        payload[5] = (uint8_t)(*offset >> 8);
        n = 8 + (size < INPUT_BYTES - *offset ? size : INPUT_BYTES - *offset);
        *offset += draw(10) == 0 ? 0 : n - 8;
        break;
    case TE_LINK_RUN:
    case TE_LINK_TRACE:
        memcpy(payload + 4, &crc, 4);
        payload[8] = (uint8_t)draw(3);
        payload[9] = (uint8_t)(1 + draw(2));
        n = kind == TE_LINK_RUN ? 11 : 16;
        payload[12] = kind == TE_LINK_TRACE ? (uint8_t)draw(256) : payload[12];
        payload[13] = kind == TE_LINK_TRACE ? (uint8_t)draw(8) : payload[13];
        memcpy(payload + n, hash, sizeof(hash));
        n += TE_LINK_BUILD_BYTES;
        break;
    case TE_LINK_READ:
        payload[4] = (uint8_t)draw(3);
        payload[5] = (uint8_t)draw(256);
        payload[6] = (uint8_t)draw(4);
        payload[9] = (uint8_t)draw(256);
        payload[10] = (uint8_t)draw(3);
        n = 11;
        break;
    default:
        break;
    }
    if (draw(20) == 0) {
        payload[draw(n + 1)] ^= (uint8_t)(1u << draw(8));
    }
    to[0] = (uint8_t)(0x80u | kind | (draw(20) == 0 ? 0x40u : 0u));
    to[1] = (uint8_t)n;
    return 2 + n;
}

int main(int argc, char **argv)
{
    static uint8_t data[16384];
    const long count = argc > 2 ? strtol(argv[2], NULL, 10) : 1000;
    state = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 1;
    for (long i = 0; i < count; i++) {
        size_t size = 1;
        uint32_t offset = 0;
        data[0] = draw(8) == 0 ? (uint8_t)draw(256) : (uint8_t)draw(4);
        for (uint32_t pieces = draw(40); pieces > 0; pieces--) {
            if (draw(5) == 0) { /* noise */
                data[size] = (uint8_t)draw(128);
                data[size + 1] = (uint8_t)draw(100);
                for (uint32_t n = 0; n < data[size + 1]; n++) {
                    data[size + 2 + n] = (uint8_t)draw(draw(2) != 0 ? 256 : 3);
                }
                size += 2u + data[size + 1];
            } else {
                size += add_request(data + size, &offset);
            }
        }
        (void)LLVMFuzzerTestOneInput(data, size);
    }
    (void)printf("%u transfers, %u runs\n", transfers, runs);
    return runs > 0 ? 0 : 1;
}
#endif
