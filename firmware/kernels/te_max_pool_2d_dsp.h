/* SPDX-License-Identifier: MIT-0 */
#ifndef TE_MAX_POOL_2D_DSP_H
#define TE_MAX_POOL_2D_DSP_H

#include "te_max_pool_2d.h"

/* The same as in te_max_pool_2d.h, for cores with the DSP extension. */
te_rows_fn te_max_pool_2d_dsp;
extern const te_accumulate te_max_pool_2d_global_dsp;

#endif
