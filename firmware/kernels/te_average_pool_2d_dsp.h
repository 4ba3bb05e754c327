/* SPDX-License-Identifier: MIT-0 */
#ifndef TE_AVERAGE_POOL_2D_DSP_H
#define TE_AVERAGE_POOL_2D_DSP_H

#include "te_average_pool_2d.h"

/* The same as in te_average_pool_2d.h, for cores with the DSP extension. Windows have no more than
 * 255 taps, those of the whole map any number. */
te_rows_fn te_average_pool_2d_dsp;
extern const te_accumulate te_average_pool_2d_global_dsp;

#endif
