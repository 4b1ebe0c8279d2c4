/*
 * The EVP module SDK: everything that a module needs, in one header. C99, usable from C++.
 *
 * A module is a process that evp-runtime starts. It calls EVP_initialize() once, sets its callbacks, then calls
 * EVP_processEvent() in a loop until that returns EVP_SHOULDEXIT. Link with `pkg-config --libs evp-app-sdk`.
 *
 * Rules for the whole API:
 *  - Threads: a handle belongs to one thread. No function may be called for the same handle by two threads at once.
 *  - Callbacks run inside EVP_processEvent(), on the thread that called it, one per call, and nowhere else. From a
 *    callback call only EVP_sendRpcResponse(); note other work and do it after EVP_processEvent() has returned.
 *  - Ownership: the SDK copies whatever it is given before it returns; what a callback is given lives until the
 *    callback returns. `userData` is never looked at.
 *  - Each operation that was answered with EVP_OK calls its callback at most once. If the connection to the runtime
 *    breaks, outstanding callbacks are not called and EVP_processEvent() returns EVP_SHOULDEXIT.
 *  - A NULL callback is allowed: then the outcome is not told.
 */
#ifndef EVP_SDK_H
#define EVP_SDK_H

#include "evp/sdk_base.h"
#include "evp/sdk_blob.h"
#include "evp/sdk_types.h"

#endif
