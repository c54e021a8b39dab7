/* The order of the places of a service: lower priorities first; among equals each next one is
 * chosen at random, with the weights as chances. */
#include "net/dns_services.h"

static void swap(const struct dns_record **a, const struct dns_record **b)
{
    const struct dns_record *kept = *a;
    *a = *b;
    *b = kept;
}

/* Moves those of the lowest priority to the front. Returns how many these are. */
static size_t take_lowest(const struct dns_record **places, size_t n)
{
    size_t n_lowest = 0;
    for (size_t i = 0; i < n; i++) {
        if (n_lowest > 0 && places[i]->priority < places[0]->priority)
            n_lowest = 0;
        if (n_lowest == 0 || places[i]->priority == places[0]->priority)
            swap(&places[i], &places[n_lowest++]);
    }
    return n_lowest;
}

/* Those without a weight come first, so that the number 0 is theirs: a small chance, which they
 * shall have. */
static void put_weightless_first(const struct dns_record **places, size_t n)
{
    size_t n_weightless = 0;
    for (size_t i = 0; i < n; i++)
        if (places[i]->weight == 0)
            swap(&places[i], &places[n_weightless++]);
}

static void order_equals(const struct dns_record **places, size_t n, uint32_t (*below)(uint32_t n))
{
    for (size_t i = n; i > 1; i--)
        swap(&places[i - 1], &places[below((uint32_t)i)]);
    for (; n > 1; places++, n--) {
        uint32_t sum = 0, number;
        size_t i = 0;
        put_weightless_first(places, n);
        for (size_t k = 0; k < n; k++)
            sum += places[k]->weight;
        number = below(sum + 1);
        for (sum = places[0]->weight; sum < number; sum += places[i]->weight)
            i++;
        swap(&places[0], &places[i]);
    }
}

void dns_services_order(const struct dns_record **places, size_t n, uint32_t (*below)(uint32_t n))
{
    while (n > 0) {
        size_t n_lowest = take_lowest(places, n);
        order_equals(places, n_lowest, below);
        places += n_lowest;
        n -= n_lowest;
    }
}
