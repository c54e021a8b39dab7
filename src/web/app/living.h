/* The applications of the process that have been made and not closed. tepal_run() closes its
 * application, which is easily forgotten: so a pointer to one that is gone is told from others, by
 * its value and without a look behind it. From any thread.
 */
#ifndef TEPAL_WEB_APP_LIVING_H
#define TEPAL_WEB_APP_LIVING_H

#include <tepal/app.h>

#include <stdbool.h>

void living_add(tepal_app *app);
void living_remove(tepal_app *app);

/* Any pointer may be asked about. */
bool living_has(const tepal_app *app);

#endif
