/* SPDX-License-Identifier: MIT-0 */
/* From top to bottom: checksums and fields, frames out, what each request does, frames in. */
#include "te_link.h"

#include <stddef.h>

_Static_assert(TE_LINK_DATA_BYTES >= 128 && TE_LINK_DATA_BYTES <= 32768,
               "an identity must fit a frame, and a frame its 16-bit length");

/* ---- Checksums and fields ---------------------------------------------------------------------
 */

uint32_t te_link_crc32(uint32_t crc, const void *data, uint32_t size_bytes)
{
    /* Half a byte at a time: 64 bytes of table instead of 1,024. */
    static const uint32_t table[16] = {0x00000000u, 0x1db71064u, 0x3b6e20c8u, 0x26d930acu,
                                       0x76dc4190u, 0x6b6b51f4u, 0x4db26158u, 0x5005713cu,
                                       0xedb88320u, 0xf00f9344u, 0xd6d6a3e8u, 0xcb61b38cu,
                                       0x9b64c2b0u, 0x86d3d2d4u, 0xa00ae278u, 0xbdbdf21cu};
    const uint8_t *bytes = data;
    crc = ~crc;
    for (uint32_t i = 0; i < size_bytes; i++) {
        crc ^= bytes[i];
        crc = (crc >> 4) ^ table[crc & 15u];
        crc = (crc >> 4) ^ table[crc & 15u];
    }
    return ~crc;
}

static uint32_t get(const uint8_t *from, uint32_t bytes)
{
    uint32_t value = 0;
    for (uint32_t i = 0; i < bytes; i++) {
        value |= (uint32_t)from[i] << (8u * i);
    }
    return value;
}

static uint8_t *put(uint8_t *to, uint32_t value, uint32_t bytes)
{
    for (uint32_t i = 0; i < bytes; i++) {
        to[i] = (uint8_t)(value >> (8u * i));
    }
    return to + bytes;
}

static uint8_t *put_bytes(uint8_t *to, const void *from, uint32_t bytes)
{
    const uint8_t *source = from;
    for (uint32_t i = 0; i < bytes; i++) {
        to[i] = source[i];
    }
    return to + bytes;
}

/* The characters of `text` and a zero, as far as they fit before `end`. */
static uint8_t *put_text(uint8_t *to, const uint8_t *end, const char *text)
{
    while (*text != '\0' && to < end - 1) {
        *to++ = (uint8_t)*text++;
    }
    *to++ = 0;
    return to;
}

/* ---- Frames out -------------------------------------------------------------------------------
 */

static uint8_t *payload(te_link *link)
{
    return link->reply + TE_LINK_HEAD_BYTES;
}

/* Sends `n` bytes so that none of them is zero, between two zero bytes. */
static void send_stuffed(const te_link *link, const uint8_t *bytes, uint32_t n)
{
    void (*const send)(uint8_t) = link->device->send;
    uint32_t start = 0;
    send(0);
    for (;;) {
        uint32_t run = 0;
        while (start + run < n && run < 254 && bytes[start + run] != 0) {
            run++;
        }
        send((uint8_t)(run + 1));
        for (uint32_t i = 0; i < run; i++) {
            send(bytes[start + i]);
        }
        start += run;
        if (start == n) {
            break;
        }
        start += run < 254 ? 1u : 0u; /* the zero that the code byte stands for */
    }
    send(0);
}

/* Sends the reply whose payload ends at `end`. */
static void send_reply(te_link *link, uint32_t kind, uint32_t sequence, const uint8_t *end)
{
    uint8_t *frame = link->reply;
    const uint32_t bytes = (uint32_t)(end - payload(link));
    uint8_t *tail = payload(link) + bytes;
    (void)put(frame, kind, 2);
    (void)put(frame + 2, bytes, 2);
    (void)put(frame + 4, sequence, 4);
    (void)put(tail, te_link_crc32(0, frame, TE_LINK_HEAD_BYTES + bytes), 4);
    send_stuffed(link, frame, TE_LINK_HEAD_BYTES + bytes + 4);
}

static void answer(te_link *link, const uint8_t *end)
{
    send_reply(link, link->frame[0] | (uint32_t)TE_LINK_ANSWER, get(link->frame + 4, 4), end);
}

static void fail(te_link *link, uint32_t error, uint32_t detail)
{
    uint8_t *to = put(payload(link), link->frame[0], 1);
    to = put(to, error, 1);
    to = put(to, detail, 4);
    send_reply(link, TE_LINK_FAILED, get(link->frame + 4, 4), to);
}

/* ---- Requests: identity -----------------------------------------------------------------------
 */

static uint8_t *put_status(te_link *link, uint8_t *to)
{
    te_link_status status = {0, 0, 0, 0};
    link->device->status(&status);
    to = put(to, status.clock_hz, 4);
    to = put(to, status.board_status, 4);
    to = put(to, status.reset_reason, 4);
    return put(to, status.stack_bytes, 4);
}

/* The identity, or the part of it that is asked for: on a bad line short frames arrive. */
static void on_identify(te_link *link, const uint8_t *from, uint32_t bytes)
{
    const te_link_device *device = link->device;
    uint8_t *start = payload(link) + 4;
    const uint8_t *end = payload(link) + TE_LINK_PAYLOAD_BYTES;
    uint8_t *to = put(start, TE_LINK_VERSION, 1);
    uint32_t total;
    uint32_t offset = 0;
    uint32_t size;
    to = put(to, device->flags, 1);
    to = put(to, TE_LINK_DATA_BYTES, 2);
    to = put(to, device->input_bytes, 4);
    to = put(to, device->output_bytes, 4);
    to = put(to, device->arena_bytes, 4);
    to = put(to, device->layers, 4);
    to = put_bytes(to, device->model_sha256, TE_LINK_HASH_BYTES);
    to = put_bytes(to, device->build_sha256, TE_LINK_HASH_BYTES);
    to = put_text(to, end - 2, device->board);
    to = put_text(to, end - 1, device->version);
    to = put_text(to, end, device->model);
    total = (uint32_t)(to - start);
    size = total;
    if (bytes == 4) {
        offset = get(from, 2);
        size = get(from + 2, 2);
        offset = offset < total ? offset : total;
        size = size < total - offset ? size : total - offset;
    }
    to = put(payload(link), total, 2);
    to = put(to, offset, 2);
    answer(link, put_bytes(to, start + offset, size));
}

/* ---- Requests: the input ----------------------------------------------------------------------
 */

static void begin_input(te_link *link, uint32_t transfer)
{
    te_link_input *in = &link->input;
    in->transfer = transfer;
    in->received = 0;
    in->crc = 0;
    in->began = 1;
    in->spent = 0;
    in->status = link->device->begin();
    in->failed = in->status != 0;
    link->result.valid = 0;
}

static void on_write(te_link *link, const uint8_t *from, uint32_t bytes)
{
    te_link_input *in = &link->input;
    const uint32_t transfer = get(from, 4);
    const uint32_t offset = get(from + 4, 4);
    const uint32_t size = bytes - 8;
    const uint32_t total = link->device->input_bytes;
    if (offset > total || size > total - offset) {
        fail(link, TE_LINK_BAD_REQUEST, total);
        return;
    }
    if (!in->began || in->transfer != transfer) {
        if (offset != 0) {
            fail(link, TE_LINK_BAD_TRANSFER, 0);
            return;
        }
        begin_input(link, transfer);
    }
    if (offset > in->received) {
        fail(link, TE_LINK_BAD_OFFSET, in->received);
        return;
    }
    if (offset + size > in->received && !in->failed) { /* else all of it is here already */
        const uint32_t here = in->received - offset;
        in->status = link->device->take(from + 8 + here, in->received, size - here);
        in->failed = in->status != 0;
        in->crc = te_link_crc32(in->crc, from + 8 + here, size - here);
        in->received = offset + size;
    }
    if (in->failed) {
        fail(link, TE_LINK_MODEL, (uint32_t)in->status);
        return;
    }
    answer(link, put(put(payload(link), transfer, 4), in->received, 4));
}

/* 0 where the whole input is here for a request that names it so, else what to tell the host. */
static uint32_t lacks_input(const te_link *link, uint32_t transfer, uint32_t crc)
{
    const te_link_input *in = &link->input;
    if (!in->began || in->transfer != transfer) {
        return TE_LINK_BAD_TRANSFER;
    }
    if (in->received != link->device->input_bytes || in->crc != crc || in->failed) {
        return TE_LINK_BAD_INPUT;
    }
    return in->spent ? (uint32_t)TE_LINK_SPENT : 0u;
}

static int is_this_build(const te_link *link, const uint8_t *build)
{
    for (uint32_t i = 0; i < TE_LINK_BUILD_BYTES; i++) {
        if (build[i] != link->device->build_sha256[i]) {
            return 0;
        }
    }
    return 1;
}

/* ---- Requests: runs ---------------------------------------------------------------------------
 */

/* The next piece of the outputs at `offset`; its size is at least 1 while offset < output_bytes. */
static const uint8_t *output_at(const te_link_device *device, uint32_t offset, uint32_t *size)
{
    const te_link_memory *memory = device->outputs;
    while (offset >= memory->size_bytes) {
        offset -= memory->size_bytes;
        memory++;
    }
    *size = memory->size_bytes - offset;
    return (const uint8_t *)memory->data + offset;
}

static uint32_t output_crc(const te_link_device *device)
{
    uint32_t crc = 0;
    uint32_t size = 0;
    for (uint32_t offset = 0; offset < device->output_bytes; offset += size) {
        const uint8_t *data = output_at(device, offset, &size);
        crc = te_link_crc32(crc, data, size);
    }
    return crc;
}

static void run_model(te_link *link, uint32_t mode, uint32_t count)
{
    const te_link_device *device = link->device;
    te_link_result *result = &link->result;
    result->mode = (uint8_t)mode;
    result->count = (uint16_t)count;
    result->status = 0;
    result->cycles = 0;
    result->fewest = UINT32_MAX;
    result->most = 0;
    for (uint32_t i = 0; i < count && result->status >= 0; i++) {
        uint32_t cycles = 0;
        result->status = device->run(mode, &cycles);
        result->cycles += cycles;
        result->fewest = cycles < result->fewest ? cycles : result->fewest;
        result->most = cycles > result->most ? cycles : result->most;
    }
    result->crc = output_crc(device);
    result->valid = 1;
    link->input.spent = (device->flags & TE_LINK_REPEATABLE) == 0;
}

static void answer_run(te_link *link)
{
    const te_link_result *result = &link->result;
    uint8_t *to = put(payload(link), link->input.transfer, 4);
    to = put(to, result->mode, 1);
    to = put(to, result->count, 2);
    to = put(to, (uint32_t)result->status, 4);
    to = put(to, (uint32_t)result->cycles, 4);
    to = put(to, (uint32_t)(result->cycles >> 32), 4);
    to = put(to, result->fewest, 4);
    to = put(to, result->most, 4);
    to = put(to, result->crc, 4);
    answer(link, to);
}

static int can_run(const te_link *link, uint32_t mode, uint32_t count)
{
    const uint32_t flags = link->device->flags;
    return count > 0 && (count == 1 || (flags & TE_LINK_REPEATABLE) != 0) &&
           (mode == TE_LINK_MODE_RELEASE ||
            (mode == TE_LINK_MODE_PROFILE && (flags & TE_LINK_CAN_TRACE) != 0));
}

static void on_run(te_link *link, const uint8_t *from)
{
    const uint32_t transfer = get(from, 4);
    const uint32_t mode = from[8];
    const uint32_t count = get(from + 9, 2);
    const te_link_result *result = &link->result;
    uint32_t lack;
    if (!is_this_build(link, from + 11)) {
        fail(link, TE_LINK_BAD_BUILD, 0);
        return;
    }
    if (!can_run(link, mode, count)) {
        fail(link, TE_LINK_BAD_REQUEST, 0);
        return;
    }
    lack = lacks_input(link, transfer, get(from + 4, 4));
    if ((lack == 0 || lack == TE_LINK_SPENT) && result->valid && result->mode == mode &&
        result->count == count) {
        answer_run(link); /* asked again: the answer was lost */
        return;
    }
    if (lack != 0) {
        fail(link, lack, link->input.received);
        return;
    }
    run_model(link, mode, count);
    answer_run(link);
}

static uint8_t *put_outputs(const te_link_device *device, uint8_t *to, uint32_t offset,
                            uint32_t bytes)
{
    uint32_t size = 0;
    for (uint32_t done = 0; done < bytes; done += size) {
        const uint8_t *data = output_at(device, offset + done, &size);
        size = size < bytes - done ? size : bytes - done;
        to = put_bytes(to, data, size);
    }
    return to;
}

static void on_read(te_link *link, const uint8_t *from)
{
    const te_link_device *device = link->device;
    const te_link_memory *layers = &device->layer_counts;
    const uint32_t transfer = get(from, 4);
    const uint32_t what = from[4];
    const uint32_t offset = get(from + 5, 4);
    const uint32_t bytes = get(from + 9, 2);
    const uint32_t total = what == TE_LINK_OUTPUT ? device->output_bytes : layers->size_bytes;
    uint8_t *to = payload(link);
    if (!link->input.began || link->input.transfer != transfer || !link->result.valid ||
        (what == TE_LINK_LAYERS && link->result.mode != TE_LINK_MODE_PROFILE)) {
        fail(link, TE_LINK_BAD_TRANSFER, 0);
        return;
    }
    if (what > TE_LINK_LAYERS || bytes > TE_LINK_DATA_BYTES || offset > total ||
        bytes > total - offset) {
        fail(link, TE_LINK_BAD_REQUEST, total);
        return;
    }
    to = put_bytes(to, from, 9);
    if (what == TE_LINK_OUTPUT) {
        to = put_outputs(device, to, offset, bytes);
    } else {
        to = put_bytes(to, (const uint8_t *)layers->data + offset, bytes);
    }
    answer(link, to);
}

/* ---- Requests: traces -------------------------------------------------------------------------
 */

/* Sends the bytes of the trace that are held; they end at the stream's position. */
static void flush(te_link *link)
{
    te_link_stream *s = &link->stream;
    if (s->held > 0) {
        uint8_t *to = put(payload(link), link->input.transfer, 4);
        to = put(to, s->position - s->held, 4);
        send_reply(link, TE_LINK_TRACED, s->sequence, to + s->held);
        s->held = 0;
    }
}

void te_link_trace(te_link *link, const void *data, uint32_t size_bytes)
{
    te_link_stream *s = &link->stream;
    const uint8_t *bytes = data;
    uint8_t *to = payload(link) + 8;
    s->crc = te_link_crc32(s->crc, data, size_bytes);
    for (uint32_t i = 0; i < size_bytes; i++) {
        const int wanted = s->position >= s->from && s->position < s->end;
        s->position++;
        if (wanted) {
            to[s->held++] = bytes[i];
        }
        if (s->held == TE_LINK_DATA_BYTES || s->position == s->end) {
            flush(link);
        }
    }
}

static void on_trace(te_link *link, const uint8_t *from)
{
    te_link_stream *s = &link->stream;
    const uint32_t start = get(from + 8, 4);
    const uint32_t bytes = get(from + 12, 4);
    uint32_t lack;
    uint32_t cycles = 0;
    int32_t status;
    uint8_t *to;
    if (!is_this_build(link, from + 16)) {
        fail(link, TE_LINK_BAD_BUILD, 0);
        return;
    }
    if ((link->device->flags & TE_LINK_CAN_TRACE) == 0 || bytes > UINT32_MAX - start) {
        fail(link, TE_LINK_BAD_REQUEST, 0);
        return;
    }
    lack = lacks_input(link, get(from, 4), get(from + 4, 4));
    if (lack != 0) {
        fail(link, lack, link->input.received);
        return;
    }
    *s = (te_link_stream){get(link->frame + 4, 4), start, start + bytes, 0, 0, 0};
    link->result.valid = 0;
    link->input.spent = (link->device->flags & TE_LINK_REPEATABLE) == 0;
    status = link->device->run(TE_LINK_MODE_TRACE, &cycles);
    flush(link);
    to = put(payload(link), link->input.transfer, 4);
    to = put(to, (uint32_t)status, 4);
    to = put(to, s->position, 4);
    answer(link, put(to, s->crc, 4));
}

/* ---- Frames in --------------------------------------------------------------------------------
 */

static void on_request(te_link *link, uint32_t bytes)
{
    const uint8_t *from = link->frame + TE_LINK_HEAD_BYTES;
    switch (link->frame[0]) {
    case TE_LINK_IDENTIFY:
        if (bytes == 0 || bytes == 4) {
            on_identify(link, from, bytes);
            return;
        }
        break;
    case TE_LINK_STATUS:
        answer(link, put_status(link, payload(link)));
        return;
    case TE_LINK_WRITE:
        if (bytes >= 8 && bytes <= 8 + TE_LINK_DATA_BYTES) {
            on_write(link, from, bytes);
            return;
        }
        break;
    case TE_LINK_RUN:
        if (bytes == 11 + TE_LINK_BUILD_BYTES) {
            on_run(link, from);
            return;
        }
        break;
    case TE_LINK_READ:
        if (bytes == 11) {
            on_read(link, from);
            return;
        }
        break;
    case TE_LINK_TRACE:
        if (bytes == 16 + TE_LINK_BUILD_BYTES) {
            on_trace(link, from);
            return;
        }
        break;
    default:
        break;
    }
    fail(link, TE_LINK_BAD_REQUEST, 0);
}

/* Carries out the frame that has just ended, or says that it was damaged. */
static void end_frame(te_link *link)
{
    const uint32_t n = link->length;
    const uint8_t *frame = link->frame;
    int good = !link->broken && link->left == 0 && n >= TE_LINK_HEAD_BYTES + 4;
    if (good) {
        const uint32_t bytes = get(frame + 2, 2);
        good = frame[1] == 0 && n == TE_LINK_HEAD_BYTES + bytes + 4 &&
               get(frame + n - 4, 4) == te_link_crc32(0, frame, n - 4);
    }
    if (good) {
        on_request(link, n - TE_LINK_HEAD_BYTES - 4);
    } else {
        send_reply(link, TE_LINK_NOISE, 0, payload(link));
    }
}

static void append(te_link *link, uint8_t byte)
{
    if (link->length < TE_LINK_FRAME_BYTES) {
        link->frame[link->length++] = byte;
    } else {
        link->broken = 1;
    }
}

static void expect_frame(te_link *link)
{
    link->length = 0;
    link->left = 0;
    link->code = 0; /* no code byte yet */
    link->broken = 0;
}

void te_link_start(te_link *link, const te_link_device *device)
{
    link->device = device;
    link->input = (te_link_input){0};
    link->result = (te_link_result){0};
    link->stream = (te_link_stream){0};
    expect_frame(link);
}

void te_link_receive(te_link *link, uint8_t byte)
{
    if (byte == 0) {
        if (link->code != 0) {
            end_frame(link);
        }
        expect_frame(link);
    } else if (link->left > 0) {
        append(link, byte);
        link->left--;
    } else {
        if (link->code != 0 && link->code != 255) {
            append(link, 0); /* between two codes lies a zero, except after a full run */
        }
        link->code = byte;
        link->left = byte - 1u;
    }
}
