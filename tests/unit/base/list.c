/* Tests of the intrusive list. */
#include "../check.h"

#include "base/list.h"

struct item {
    int number;
    struct list node;
};

static void expect(struct list *list, const char *numbers)
{
    char forwards[64] = "", backwards[64] = "";
    for (struct list *n = list->next; n != list; n = n->next)
        snprintf(forwards + strlen(forwards), 8, "%d", CONTAINER_OF(n, struct item, node)->number);
    for (struct list *n = list->prev; n != list; n = n->prev) {
        memmove(backwards + 1, backwards, strlen(backwards) + 1);
        backwards[0] = (char)('0' + CONTAINER_OF(n, struct item, node)->number);
    }
    assert_string_equal(forwards, numbers);
    assert_string_equal(backwards, numbers);
}

static void append_prepend_remove(void **state)
{
    (void)state;
    struct list list;
    struct item items[5];
    list_init(&list);
    assert_true(list_is_empty(&list));
    for (int i = 0; i < 5; i++) {
        items[i].number = i;
        list_init(&items[i].node);
        assert_false(list_is_linked(&items[i].node));
    }
    list_append(&list, &items[1].node);
    list_append(&list, &items[2].node);
    list_prepend(&list, &items[0].node);
    list_append(&list, &items[3].node);
    expect(&list, "0123");
    assert_false(list_is_empty(&list));
    assert_true(list_is_linked(&items[0].node));
    list_remove(&items[2].node);
    expect(&list, "013");
    list_remove(&items[0].node);
    list_remove(&items[3].node);
    expect(&list, "1");
    assert_false(list_is_linked(&items[0].node));
    list_remove(&items[0].node); /* in none: stays so */
    list_prepend(&list, &items[4].node);
    expect(&list, "41");
    list_remove(&items[4].node);
    list_remove(&items[1].node);
    assert_true(list_is_empty(&list));
}

static void move_all(void **state)
{
    (void)state;
    struct list to, from;
    struct item items[4];
    list_init(&to);
    list_init(&from);
    for (int i = 0; i < 4; i++) {
        items[i].number = i;
        list_append(i < 2 ? &to : &from, &items[i].node);
    }
    list_move_all(&to, &from);
    expect(&to, "0123");
    expect(&from, "");
    list_move_all(&to, &from); /* nothing more */
    expect(&to, "0123");
    list_move_all(&from, &to); /* into an empty one */
    expect(&from, "0123");
    expect(&to, "");
}

static void first_ones(void **state)
{
    (void)state;
    struct list list;
    struct item items[5];
    list_init(&list);
    for (int i = 0; i < 5; i++) {
        items[i].number = i;
        list_init(&items[i].node);
    }
    assert_int_equal(list_length(&list), 0);
    list_append(&list, &items[0].node);
    assert_int_equal(list_length(&list), 1);
    assert_ptr_equal(list_exchange_first(&list, &items[1].node), &items[0].node); /* the only one */
    assert_false(list_is_linked(&items[0].node));
    expect(&list, "1");
    list_append(&list, &items[2].node);
    assert_ptr_equal(list_exchange_first(&list, &items[3].node), &items[1].node); /* of two */
    assert_false(list_is_linked(&items[1].node));
    expect(&list, "23");
    list_append(&list, &items[4].node);
    assert_ptr_equal(list_exchange_first(&list, &items[0].node), &items[2].node);
    expect(&list, "340");
    assert_int_equal(list_length(&list), 3);
    assert_ptr_equal(list_take_first(&list), &items[3].node);
    assert_false(list_is_linked(&items[3].node));
    expect(&list, "40");
    assert_ptr_equal(list_take_first(&list), &items[4].node);
    assert_ptr_equal(list_take_first(&list), &items[0].node);
    assert_true(list_is_empty(&list));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(append_prepend_remove),
        cmocka_unit_test(move_all),
        cmocka_unit_test(first_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
