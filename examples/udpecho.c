/* Sends datagrams back to where they come from, as many at once as there are: a server on UDP.
 *
 *     build/examples/udpecho 7777
 *     nc -u 127.0.0.1 7777
 *
 * It ends at SIGINT and SIGTERM: a task waits for them, and interrupts the one that receives.
 */
#include <signal.h>
#include <stdlib.h>

#include <tepal.h>

enum { MANY = 64, SIZE = 2048 };

struct echo {
    tepal_udp *udp;
    tepal_signals *signals;
    bool stop;
};

static int wait_for_signal(void *arg)
{
    struct echo *echo = arg;
    if (tepal_signals_next(echo->signals) > 0) {
        echo->stop = true; /* if it does not receive just now */
        tepal_udp_interrupt_receiver(echo->udp);
    }
    return 0;
}

static int send_back(struct echo *echo)
{
    static char rooms[MANY][SIZE];
    tepal_datagram datagrams[MANY];
    ssize_t n = 0;
    for (int i = 0; i < MANY; i++)
        datagrams[i] = (tepal_datagram){ .data = rooms[i], .size = SIZE };
    while (!echo->stop && n >= 0) {
        n = tepal_udp_receive_all(echo->udp, datagrams, MANY);
        if (n > 0) /* one that cannot be sent is lost, as datagrams are */
            (void)tepal_udp_send_all(echo->udp, datagrams, (size_t)n);
    }
    return echo->stop ? 0 : (int)n;
}

static int serve(void *port)
{
    struct echo echo = { 0 };
    int rc = tepal_udp_open(&echo.udp, &(tepal_udp_options){ .port = atoi(port) });
    if (rc < 0)
        return rc;
    /* Before the first answer: from then on it is asked to end, and not killed. */
    echo.signals = tepal_signals_open((const int[]){ SIGINT, SIGTERM, 0 });
    tepal_group *group = tepal_group_new();
    rc = echo.signals && group ? tepal_spawn(group, wait_for_signal, &echo, NULL) : -ENOMEM;
    if (rc == 0)
        rc = send_back(&echo);
    tepal_group_close(group);
    tepal_signals_close(echo.signals);
    tepal_udp_close(echo.udp);
    return rc;
}

int main(int argc, char **argv)
{
    return tepal_main(serve, argc > 1 ? argv[1] : "7777") < 0;
}
