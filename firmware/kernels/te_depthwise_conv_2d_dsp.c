/* SPDX-License-Identifier: MIT-0 */
#include "te_depthwise_conv_2d_dsp.h"

#include "te_depthwise_dsp.h"
#include "te_dsp.h"
#include "te_product_dsp.h" /* the kinds of rounding */

/* Columns [x, x + columns) of the image, expanded; of these, [left, right) lie inside it. `plane`
 * words lie between channels. */
typedef struct {
    int32_t *planes;
    int32_t plane;
    int32_t pairs;
    int32_t x;
    int32_t columns;
    int32_t left;
    int32_t right;
} expansion;

/* What is to be computed from the planes of a block, channel by channel. The assembly counts on the
 * order; it changes what is marked with *. */
typedef struct {
    const int32_t *x;       /* * next window */
    const int32_t *weights; /* * of the channel: bias, weights, multiplier, constant, shift */
    int32_t rounds;         /* groups of four words in a window */
    int32_t step;           /* bytes from window to window */
    int8_t *out;            /* * next output */
    int32_t pitch;
    int32_t left;           /* * pairs of outputs */
    int32_t back_x;         /* the last pair starts as many bytes earlier, */
    int32_t back_out;       /* so that it is a pair also of an odd number */
    int32_t channels;       /* * */
    int32_t plane;          /* bytes */
    int32_t pairs;          /* of outputs of a channel, at least 1 */
    const int32_t *first_x; /* * first window of the channel */
    int8_t *first_out;      /* * */
} window_job;

/* ---- From int8 rows to planes ------------------------------------------------------------------
 */

static inline uint32_t load_channels(const int8_t *from, int32_t channels)
{
    uint32_t word = 0;
    if (channels >= 4) {
        return te_load4(from);
    }
    for (int32_t c = 0; c < channels; c++) {
        word |= (uint32_t)(uint8_t)from[c] << (8 * c);
    }
    return word;
}

/* One pair of rows of `n` columns; a row is `step` bytes from column to column. */
static inline void expand_pair(int32_t *to, const expansion *e, const int8_t *a, int32_t a_step,
                               const int8_t *b, int32_t b_step, int32_t n, int32_t channels)
{
    const int32_t plane = e->plane;
    const int32_t pairs = e->pairs;
    for (; n > 0; n--) {
        const uint32_t upper = load_channels(a, channels);
        const uint32_t lower = load_channels(b, channels);
        const uint32_t even_a = te_sxtb16(upper);
        const uint32_t odd_a = te_sxtb16_ror8(upper);
        const uint32_t even_b = te_sxtb16(lower);
        const uint32_t odd_b = te_sxtb16_ror8(lower);
        a += a_step;
        b += b_step;
        to[0] = (int32_t)te_pkhbt(even_a, even_b);
        to[plane] = (int32_t)te_pkhbt(odd_a, odd_b);
        to[2 * plane] = (int32_t)te_pkhtb(even_a, even_b);
        to[3 * plane] = (int32_t)te_pkhtb(odd_a, odd_b);
        to += pairs;
    }
}

/* The last of an odd number of rows: channels 0 and 2 share a word, as do 1 and 3. */
static inline void expand_single(int32_t *to, const expansion *e, const int8_t *a, int32_t a_step,
                                 int32_t n, int32_t channels)
{
    const int32_t plane = e->plane;
    const int32_t pairs = e->pairs;
    for (; n > 0; n--) {
        const uint32_t word = load_channels(a, channels);
        const int32_t even = (int32_t)te_sxtb16(word);
        const int32_t odd = (int32_t)te_sxtb16_ror8(word);
        a += a_step;
        to[0] = even;
        to[plane] = odd;
        to[2 * plane] = even;
        to[3 * plane] = odd;
        to += pairs;
    }
}

/* Columns outside the image: the zero point in every lane. */
static void expand_padding(int32_t *to, const expansion *e, int32_t columns, int32_t lanes)
{
    for (int32_t channel = 0; channel < 4 && columns > 0; channel++) {
        for (int32_t i = 0; i < columns * e->pairs; i++) {
            to[i] = lanes;
        }
        to += e->plane;
    }
}

/* Columns inside the image of four channels or, at the end, less. */
static void expand(const te_depthwise_conv_2d_dsp_params *p, const expansion *e,
                   const int8_t *const *in_rows, int32_t in_x0, int32_t channel)
{
    const int32_t skip = (e->x + e->left - in_x0) * p->in_pitch + channel;
    const int32_t channels = p->channels - channel;
    const int32_t n = e->right - e->left;
    const int8_t z = (int8_t)p->in_zero_point;
    const int8_t outside[4] = {z, z, z, z};
    int32_t *to = e->planes + e->left * e->pairs;
    for (int32_t ky = 0; ky < p->kernel_height; ky += 2) {
        const int8_t *a = in_rows[ky * p->dilation_y];
        const int32_t a_step = a == NULL ? 0 : p->in_pitch;
        a = a == NULL ? outside : a + skip;
        if (ky + 1 < p->kernel_height) {
            const int8_t *b = in_rows[(ky + 1) * p->dilation_y];
            const int32_t b_step = b == NULL ? 0 : p->in_pitch;
            b = b == NULL ? outside : b + skip;
            if (channels >= 4) {
                expand_pair(to, e, a, a_step, b, b_step, n, 4);
            } else {
                expand_pair(to, e, a, a_step, b, b_step, n, channels);
            }
        } else if (channels >= 4) {
            expand_single(to, e, a, a_step, n, 4);
        } else {
            expand_single(to, e, a, a_step, n, channels);
        }
        to++;
    }
}

/* ---- Windows -----------------------------------------------------------------------------------
 */

#if TE_DSP_INSTRUCTIONS

/* Compilers spill these loops. The twins below say in C what is computed here. */

#define MAC(acc, w, x) "smlad " acc ", " w ", " x ", " acc "\n"
/* Multiplier in `m`, constant in `c`. */
#define SCALE_UP(acc, m, c, free) "smmla " acc ", " acc ", " m ", " c "\n"
#define SCALE_AWAY(acc, m, c, free)                                                                \
    "add " free ", " c ", " acc ", asr #31\nsmmlar " acc ", " acc ", " m ", " free "\n"
#define NARROW(acc, shift) "asr " acc ", " acc ", " shift "\nssat " acc ", #8, " acc "\n"

/* clang-format off */

/* From one pair of outputs to the next; r4 job, r8 out behind this pair, r10 pairs left. Ends after
 * the last channel, whose weights end at r2. */
#define NEXT_PAIR                                                                                  \
    "subs r10, r10, #1\n"                                                                          \
    "str r8, [r4, #16]\n"                                                                          \
    "str r10, [r4, #24]\n"                                                                         \
    "cmp r10, #1\n"                                                                                \
    "bgt 1b\n"                                                                                     \
    "blt 3f\n"                                                                                     \
    "ldrd r5, r6, [r4, #28]\n" /* back_x back_out */                                               \
    "ldr r7, [r4]\n"                                                                               \
    "subs r7, r7, r5\n"                                                                            \
    "subs r8, r8, r6\n"                                                                            \
    "str r7, [r4]\n"                                                                               \
    "str r8, [r4, #16]\n"                                                                          \
    "b 1b\n"                                                                                       \
    "3:\n"                                                                                         \
    "add r5, r4, #36\n"                                                                            \
    "ldm r5, {r5, r6, r7, r8, r9}\n" /* channels plane pairs first_x first_out */                  \
    "add r8, r8, r6\n"                                                                             \
    "add r9, r9, #1\n"                                                                             \
    "strd r8, r2, [r4]\n"                                                                          \
    "str r9, [r4, #16]\n"                                                                          \
    "str r7, [r4, #24]\n"                                                                          \
    "strd r8, r9, [r4, #48]\n"                                                                     \
    "subs r5, r5, #1\n"                                                                            \
    "str r5, [r4, #36]\n"

/* r0, r1 windows of two outputs, r2 weights, r3 rounds left, r12 and lr accumulators; sp: job. */
#define ANY_WINDOWS(SCALE)                                                                         \
    "push {r0, r4, r5, r6, r7, r8, r9, r10, r11, lr}\n"                                            \
    "1:\n"                                                                                         \
    "ldr r4, [sp]\n"                                                                               \
    "ldm r4, {r0, r2, r3, r5}\n" /* x weights rounds step */                                       \
    "ldr r12, [r2], #4\n"                                                                          \
    "mov lr, r12\n"                                                                                \
    "add r1, r0, r5\n"                                                                             \
    "add r5, r1, r5\n"                                                                             \
    "str r5, [r4]\n"                                                                               \
    "2:\n"                                                                                         \
    "ldmia r2!, {r4, r5, r6, r7}\n"                                                                \
    "ldmia r0!, {r8, r9, r10, r11}\n"                                                              \
    MAC("r12", "r4", "r8") MAC("r12", "r5", "r9") MAC("r12", "r6", "r10") MAC("r12", "r7", "r11")  \
    "ldmia r1!, {r8, r9, r10, r11}\n"                                                              \
    MAC("lr", "r4", "r8") MAC("lr", "r5", "r9") MAC("lr", "r6", "r10") MAC("lr", "r7", "r11")      \
    "subs r3, r3, #1\n"                                                                            \
    "bne 2b\n"                                                                                     \
    "ldmia r2!, {r5, r6, r7}\n" /* multiplier constant shift */                                    \
    SCALE("r12", "r5", "r6", "r11") SCALE("lr", "r5", "r6", "r11")                                 \
    NARROW("r12", "r7") NARROW("lr", "r7")                                                         \
    "ldr r4, [sp]\n"                                                                               \
    "add r8, r4, #16\n"                                                                            \
    "ldm r8, {r8, r9, r10}\n" /* out pitch left */                                                 \
    "strb r12, [r8]\n"                                                                             \
    "strb lr, [r8, r9]\n"                                                                          \
    "add r8, r8, r9, lsl #1\n"                                                                     \
    NEXT_PAIR                                                                                      \
    "bne 1b\n"                                                                                     \
    "pop {r0, r4, r5, r6, r7, r8, r9, r10, r11, pc}\n"

WHOLLY_ASSEMBLY static void any_windows_up(window_job *job UNUSED)
{
    __asm__(ANY_WINDOWS(SCALE_UP));
}

WHOLLY_ASSEMBLY static void any_windows_away(window_job *job UNUSED)
{
    __asm__(ANY_WINDOWS(SCALE_AWAY));
}

/* clang-format on */

#else

static int8_t rounded(const int32_t *words, int32_t acc, int32_t rounding)
{
    if (rounding == TE_HALF_UP) {
        acc = te_smmla(acc, words[0], words[1]);
    } else {
        acc = te_smmlar(acc, words[0], words[1] + (acc >> 31));
    }
    return (int8_t)te_ssat8(acc >> words[2]);
}

static int8_t window(const window_job *job, const int32_t *x, int32_t rounding)
{
    int32_t acc = job->weights[0];
    for (int32_t i = 0; i < 4 * job->rounds; i++) {
        acc = te_smlad((uint32_t)x[i], (uint32_t)job->weights[1 + i], acc);
    }
    return rounded(job->weights + 1 + 4 * job->rounds, acc, rounding);
}

static void windows(window_job *job, int32_t rounding)
{
    for (; job->channels > 0; job->channels--) {
        for (int32_t left = job->pairs; left > 0; left--) {
            if (left == 1 && job->pairs > 1) {
                job->x -= job->back_x / 4;
                job->out -= job->back_out;
            }
            job->out[0] = window(job, job->x, rounding);
            job->out[job->pitch] = window(job, job->x + job->step / 4, rounding);
            job->x += 2 * (job->step / 4);
            job->out += 2 * job->pitch;
        }
        job->first_x += job->plane / 4;
        job->x = job->first_x;
        job->out = ++job->first_out;
        job->weights += 4 * job->rounds + 4;
    }
}

static void any_windows_up(window_job *job)
{
    windows(job, TE_HALF_UP);
}

static void any_windows_away(window_job *job)
{
    windows(job, TE_HALF_AWAY);
}

#endif

/* ---- Rows --------------------------------------------------------------------------------------
 */

/* What the block's windows are, and the code that computes `n` of them in each channel. */
typedef void compute_windows(window_job *job);

static compute_windows *prepare(const te_depthwise_conv_2d_dsp_params *p, const expansion *e,
                                int32_t n, window_job *job)
{
    const int32_t up = p->rounding == TE_HALF_UP;
    const int32_t odd = n > 1 ? n % 2 : 0;
    job->rounds = (p->kernel_width * e->pairs + 3) / 4;
    job->step = n > 1 ? 4 * p->stride_x * e->pairs : 0;
    job->pitch = n > 1 ? p->out_pitch : 0; /* a single output is its own pair */
    job->back_x = odd * job->step;
    job->back_out = odd * job->pitch;
    job->plane = 4 * e->plane;
    job->pairs = (n + 1) / 2;
    return up ? any_windows_up : any_windows_away;
}

static void block(const te_depthwise_conv_2d_dsp_params *p, const int8_t *const *in_rows,
                  int32_t in_x0, int32_t x0, int32_t n, int8_t *out, int32_t *scratch)
{
    const int32_t zeros = (int32_t)te_lanes(p->in_zero_point, p->in_zero_point);
    expansion e;
    window_job job;
    compute_windows *compute;
    e.pairs = (p->kernel_height + 1) / 2;
    e.planes = scratch;
    e.columns = (n - 1) * p->stride_x + p->kernel_width;
    e.plane = e.columns * e.pairs;
    e.x = x0 * p->stride_x - p->pad_left;
    e.left = te_within(-e.x, 0, e.columns);
    e.right = te_within(p->in_width - e.x, e.left, e.columns);
    expand_padding(scratch, &e, e.left, zeros);
    expand_padding(scratch + e.right * e.pairs, &e, e.columns - e.right, zeros);
    compute = prepare(p, &e, n, &job);
    job.weights = p->weights;
    for (int32_t channel = 0; channel < p->channels; channel += 4) {
        const int32_t left = p->channels - channel;
        expand(p, &e, in_rows, in_x0, channel);
        job.channels = left < 4 ? left : 4;
        job.x = job.first_x = scratch;
        job.out = job.first_out = out + channel;
        job.left = job.pairs;
        compute(&job);
    }
}

void te_depthwise_conv_2d_dsp(const void *params, const int8_t *const *in_rows, int32_t in_x0,
                              int8_t *const *out_rows, int32_t n_rows, int32_t y, int32_t x0,
                              int32_t x1, void *scratch)
{
    const te_depthwise_conv_2d_dsp_params *p = params;
    (void)y;
    (void)n_rows; /* one row per call */
    for (int32_t x = x0; x < x1; x += p->block_pixels) {
        const int32_t n = x1 - x < p->block_pixels ? x1 - x : p->block_pixels;
        int8_t *out = out_rows[0] + (x - x0) * p->out_pitch;
        block(p, in_rows, in_x0, x, n, out, scratch);
        if (p->out_min > INT8_MIN || p->out_max < INT8_MAX) {
            te_clamp_columns(out, n, p->channels, p->out_pitch, p->out_min, p->out_max);
        }
    }
}
