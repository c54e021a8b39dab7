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
SIZE(tepal_interval, 48);
SIZE(tepal_spawn_options, 56);
SIZE(tepal_job, 120);
SIZE(tepal_gather_options, 48);

/* sync.h */
SIZE(tepal_mutex, 56);
SIZE(tepal_semaphore, 56);
SIZE(tepal_event, 56);
SIZE(tepal_condition, 48);
SIZE(tepal_barrier, 64);

/* channel.h */
SIZE(tepal_select_case, 104);

/* loop.h */
SIZE(tepal_loop_options, 40);

/* thread.h */
SIZE(tepal_offload_options, 48);
SIZE(tepal_pool_options, 64);

/* inspect.h */
SIZE(tepal_debug_options, 56);
SIZE(tepal_stack_use, 64);

/* path.h */
SIZE(tepal_path_mkdir_options, 40);
SIZE(tepal_dir_entry, 40);

/* file.h */
SIZE(tepal_file_save_options, 40);
SIZE(tepal_file_options, 40);

/* addr.h */
SIZE(tepal_addr, 24);

/* conn.h */
SIZE(tepal_conn_options, 72);
SIZE(tepal_keepalive, 48);
SIZE(tepal_credentials, 48);
SIZE(tepal_listener_options, 72);
SIZE(tepal_listener_serve_options, 88);

/* tls.h */
SIZE(tepal_tls_options, 120);
SIZE(tepal_tls_peer, 160);
SIZE(tepal_start_tls_options, 40);
SIZE(tepal_tls_info, 112);

/* udp.h */
SIZE(tepal_udp_options, 64);
SIZE(tepal_datagram, 88);

/* dns.h */
SIZE(tepal_resolve_options, 40);
SIZE(tepal_dns_options, 144);
SIZE(tepal_dns_query_options, 40);
SIZE(tepal_dns_service, 288);

/* process.h */
SIZE(tepal_process_options, 112);
SIZE(tepal_process_status, 40);
SIZE(tepal_process_result, 104);

/* app.h */
SIZE(tepal_done, 64);

/* route.h */
SIZE(tepal_route, 128);

/* req.h */
SIZE(tepal_failure, 32);

/* res.h */
SIZE(tepal_cookie_options, 64);

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
SIZE(tepal_made, 136);

#endif
