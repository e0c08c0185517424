/* See held.h. */
#include "held.h"

/* Moves the first `len` bytes, and metadata among them. */
static apr_status_t move(apr_bucket_brigade *held, apr_bucket_brigade *bb, apr_off_t len)
{
    apr_bucket *end;
    apr_status_t rv = apr_brigade_partition(held, len, &end);

    if (rv != APR_SUCCESS && rv != APR_INCOMPLETE)
        return rv;
    while (APR_BRIGADE_FIRST(held) != end) {
        apr_bucket *b = APR_BRIGADE_FIRST(held);

        APR_BUCKET_REMOVE(b);
        APR_BRIGADE_INSERT_TAIL(bb, b);
    }
    return APR_SUCCESS;
}

static apr_status_t copy(apr_bucket_brigade *held, apr_bucket_brigade *bb, apr_off_t len)
{
    apr_bucket *b, *end, *twin;
    apr_status_t rv = apr_brigade_partition(held, len, &end);

    if (rv != APR_SUCCESS && rv != APR_INCOMPLETE)
        return rv;
    for (b = APR_BRIGADE_FIRST(held); b != end; b = APR_BUCKET_NEXT(b)) {
        if ((rv = apr_bucket_copy(b, &twin)) != APR_SUCCESS)
            return rv;
        APR_BRIGADE_INSERT_TAIL(bb, twin);
    }
    return APR_SUCCESS;
}

/* How many of these bytes are line ends. A last CR may be half of one: it stays. */
static apr_size_t line_ends(const char *bytes, apr_size_t len)
{
    apr_size_t i = 0;

    while (i < len) {
        if (bytes[i] == '\n')
            i++;
        else if (bytes[i] == '\r' && i + 1 < len && bytes[i + 1] == '\n')
            i += 2;
        else
            break;
    }
    return i;
}

static apr_status_t eat_line_ends(apr_bucket_brigade *held)
{
    while (!APR_BRIGADE_EMPTY(held)) {
        apr_bucket *b = APR_BRIGADE_FIRST(held);
        const char *bytes;
        apr_size_t len, n;
        apr_status_t rv;

        if (APR_BUCKET_IS_METADATA(b))
            return APR_SUCCESS;
        if ((rv = apr_bucket_read(b, &bytes, &len, APR_NONBLOCK_READ)) != APR_SUCCESS)
            return rv;
        n = line_ends(bytes, len);
        if (n < len) {
            if (n == 0)
                return APR_SUCCESS;
            if ((rv = apr_bucket_split(b, n)) != APR_SUCCESS)
                return rv;
        }
        apr_bucket_delete(b);
    }
    return APR_SUCCESS;
}

static apr_status_t yield(apr_bucket_brigade *held, apr_bucket_brigade *bb, ap_input_mode_t mode,
                          apr_off_t readbytes)
{
    switch (mode) {
    case AP_MODE_READBYTES:
        return move(held, bb, readbytes);
    case AP_MODE_SPECULATIVE:
        return copy(held, bb, readbytes);
    case AP_MODE_GETLINE:
        return apr_brigade_split_line(bb, held, APR_NONBLOCK_READ, HUGE_STRING_LEN);
    case AP_MODE_EATCRLF:
        return eat_line_ends(held);
    case AP_MODE_EXHAUSTIVE:
        APR_BRIGADE_CONCAT(bb, held);
        return APR_SUCCESS;
    case AP_MODE_INIT:
        return APR_SUCCESS;
    }
    return APR_ENOTIMPL;
}

apr_status_t mpmx_held_yield(apr_bucket_brigade *held, apr_bucket_brigade *bb, ap_input_mode_t mode,
                             apr_off_t readbytes)
{
    apr_status_t rv = yield(held, bb, mode, readbytes);

    /* A bucket is also split at its very end. What is left then is no input, but core would take
     * it for a pipelined request. */
    while (!APR_BRIGADE_EMPTY(held) && !APR_BUCKET_IS_METADATA(APR_BRIGADE_FIRST(held))
           && APR_BRIGADE_FIRST(held)->length == 0)
        apr_bucket_delete(APR_BRIGADE_FIRST(held));
    return rv;
}
