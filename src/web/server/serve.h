/* The steps of tepal_serve(), for those that serve in another way. All run in a task. */
#ifndef TEPAL_WEB_SERVER_SERVE_H
#define TEPAL_WEB_SERVER_SERVE_H

#include <tepal/run.h>

/* Checks the application and the options, and starts the application (app->server is there then).
 * Returns 0 or a negative error, which is logged; 1 when tepal_app_stop() has ended the start. */
int serve_open(tepal_app *app, const tepal_run_options *options);

/* Begins to accept connections. Returns 0 or a negative error, which is logged. */
int serve_listen(tepal_app *app);

/* Ends gracefully: what serve_open() began, and serve_listen() if it was called. */
void serve_close(tepal_app *app);

#endif
