/* SPDX-License-Identifier: MIT */
/* Calls te_fixed_point.h for records of {function, a, b, c} from standard input, all int64_t, and
 * writes {result, second result} for each. */
#include <stdio.h>

#include "te_fixed_point.h"

enum {
    HIGH_MULTIPLY,
    ROUND_SHIFT,
    REQUANTIZE,
    MULTIPLY_ROUND_HALF_AWAY,
    CLAMP,
    EXP_ON_NEGATIVE_VALUES,
    ONE_OVER_ONE_PLUS_X,
    RECIPROCAL,
    INVERSE_SQUARE_ROOT
};

static int64_t call(const int64_t *record, int64_t *second)
{
    const int32_t a = (int32_t)record[1];
    const int32_t b = (int32_t)record[2];
    const int32_t c = (int32_t)record[3];
    int32_t bits = 0;
    int32_t result = 0;
    switch (record[0]) {
    case HIGH_MULTIPLY:
        return te_high_multiply(a, b);
    case ROUND_SHIFT:
        return te_round_shift(a, b);
    case REQUANTIZE:
        return te_requantize(a, b, c);
    case MULTIPLY_ROUND_HALF_AWAY:
        return te_multiply_round_half_away(a, record[2], c);
    case CLAMP:
        return te_clamp(a, b, c);
    case EXP_ON_NEGATIVE_VALUES:
        return te_exp_on_negative_values(a);
    case ONE_OVER_ONE_PLUS_X:
        return te_one_over_one_plus_x(a);
    case RECIPROCAL:
        result = te_reciprocal(a, &bits);
        *second = bits;
        return result;
    default:
        result = te_inverse_square_root(a, &bits);
        *second = bits;
        return result;
    }
}

int main(void)
{
    int64_t record[4];
    while (fread(record, sizeof record, 1, stdin) == 1) {
        int64_t results[2] = {0, 0};
        results[0] = call(record, &results[1]);
        if (fwrite(results, sizeof results, 1, stdout) != 1) {
            return 1;
        }
    }
    return 0;
}
