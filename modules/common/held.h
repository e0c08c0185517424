/* Input that was read before it was asked for, and is handed out as if it came just now.
 *
 * Pure: works on brigades only.
 */
#ifndef MPMX_HELD_H
#define MPMX_HELD_H

#include "util_filter.h"

/* Does for `held`, which must not be empty, what an input filter does for its source: appends
 * to `bb` what `mode` and `readbytes` ask for, and takes it out of `held` (AP_MODE_SPECULATIVE:
 * leaves it there). Never waits. AP_MODE_EATCRLF and AP_MODE_EXHAUSTIVE may leave it empty: then
 * whatever comes behind it is to be asked as well. AP_MODE_INIT: nothing. */
apr_status_t mpmx_held_yield(apr_bucket_brigade *held, apr_bucket_brigade *bb, ap_input_mode_t mode,
                             apr_off_t readbytes);

#endif
