/* A terminal: a task waits for keys, while another one counts the seconds.
 *
 *     build/examples/keys        it ends at q, at Ctrl-C, or where the input ends
 */
#include <stdio.h>
#include <termios.h>
#include <unistd.h>

#include <tepal.h>

static int count_seconds(void *arg)
{
    tepal_interval second = tepal_interval_start_ms(1000);
    int64_t seconds = 0, n;
    while ((n = tepal_interval_wait(&second)) > 0)
        printf("%d s\n", (int)(seconds += n));
    (void)arg;
    return 0;
}

static int read_keys(void)
{
    enum { CTRL_C = 3 };
    char key = 0;
    int rc;
    while (key != 'q' && key != CTRL_C) {
        rc = tepal_wait_fd(STDIN_FILENO, TEPAL_READABLE);
        if (rc < 0)
            return rc;
        if (read(STDIN_FILENO, &key, 1) != 1)
            return 0;
        printf("key %d\n", key);
    }
    return 0;
}

static int play(void *arg)
{
    tepal_group *group = tepal_group_new();
    int rc = group ? tepal_spawn(group, count_seconds, NULL, NULL) : -ENOMEM;
    if (rc == 0)
        rc = read_keys();
    tepal_group_close(group);
    (void)arg;
    return rc;
}

int main(void)
{
    struct termios before, now;
    bool terminal = tcgetattr(STDIN_FILENO, &before) == 0;
    if (terminal) {
        now = before;
        now.c_lflag &= ~(tcflag_t)(ICANON | ECHO | ISIG); /* each key at once, Ctrl-C too */
        tcsetattr(STDIN_FILENO, TCSANOW, &now);
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    int rc = tepal_main(play, NULL);
    if (terminal)
        tcsetattr(STDIN_FILENO, TCSANOW, &before);
    return rc < 0;
}
