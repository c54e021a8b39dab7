/* The sizes of the public structs on 64 bits, which never change: a member that is added takes its
 * place from the room at the end. Compiled as C and as C++, and never run. */
#include <tepal.h>
#include <tepal/testing.h>

#include <assert.h>

#define SIZE(type, octets) static_assert(sizeof(type) == (octets), #type)

#if UINTPTR_MAX == UINT64_MAX

/* base.h */
SIZE(tepal_bytes, 16);
SIZE(tepal_pair, 16);
SIZE(tepal_key, 8);

/* task.h */

/* sync.h */

/* channel.h */

/* loop.h */

/* thread.h */

/* inspect.h */

/* file.h */

/* addr.h */
SIZE(tepal_addr, 24);

/* conn.h */

/* tls.h */

/* udp.h */

/* dns.h */

/* process.h */

/* app.h */

/* route.h */
SIZE(tepal_route, 128);

/* req.h */

/* res.h */

/* run.h */
SIZE(tepal_site, 104);
SIZE(tepal_limits, 216);
SIZE(tepal_access_log, 56);
SIZE(tepal_argument, 72);
SIZE(tepal_run_options, 448);

/* fetch.h */
SIZE(tepal_fetch_options, 264);

/* testing.h */
SIZE(tepal_test_options, 80);
SIZE(tepal_test_reply, 88);

#endif
