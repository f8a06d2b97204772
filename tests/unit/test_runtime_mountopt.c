/* test_runtime_mountopt.c - mount options become what the mount calls take. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <string.h>
#include <sys/mount.h>

#include "base/err.h"
#include "runtime/mountopt.h"

static struct rt_mountopt parse(const char *const *words)
{
    struct rt_mountopt o = RT_MOUNTOPT_INIT;
    struct jl_err e = JL_ERR_INIT;

    for (; *words; words++)
        assert_int_equal(rt_mountopt_add(&o, *words, &e), 0);
    return o;
}

#define PARSE(...) parse((const char *const[]){ __VA_ARGS__, NULL })

static void rw_undoes_ro_and_leaves_the_rest(void **state)
{
    struct rt_mountopt o = PARSE("nodev", "ro");

    (void) state;
    assert_int_equal(o.set, MOUNT_ATTR_NODEV | MOUNT_ATTR_RDONLY);
    o = PARSE("nodev", "ro", "rw");
    assert_int_equal(o.set, MOUNT_ATTR_NODEV);
    assert_int_equal(o.clear, MOUNT_ATTR_RDONLY);
    o = PARSE("rw", "ro");
    assert_int_equal(o.set, MOUNT_ATTR_RDONLY);
    assert_int_equal(o.clear, 0);
}

static void the_last_access_time_wins(void **state)
{
    struct rt_mountopt o = PARSE("noatime", "strictatime");

    (void) state;
    assert_int_equal(o.set, MOUNT_ATTR_STRICTATIME);
    assert_int_equal(o.clear & ~o.set, MOUNT_ATTR__ATIME & ~MOUNT_ATTR_STRICTATIME);
    o = PARSE("strictatime", "relatime");
    assert_int_equal(o.set, 0); /* relatime is the field's zero */
    assert_int_equal(o.clear, MOUNT_ATTR__ATIME);
}

/* mount_setattr answers EINVAL when a bit of the access time is set and its field not cleared */
static void access_times_clear_their_whole_field(void **state)
{
    struct rt_mountopt o = PARSE("noatime");

    (void) state;
    assert_int_equal((o.clear | o.set) & MOUNT_ATTR__ATIME, MOUNT_ATTR__ATIME);
    o = PARSE("rnoatime");
    assert_int_equal((o.tree_clear | o.tree_set) & MOUNT_ATTR__ATIME, MOUNT_ATTR__ATIME);
}

static void recursive_words_concern_the_tree(void **state)
{
    struct rt_mountopt o = PARSE("rbind", "rro", "rnosuid", "rexec");

    (void) state;
    assert_true(o.bind && o.recursive);
    assert_int_equal(o.set | o.clear, 0);
    assert_int_equal(o.tree_set, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID);
    assert_int_equal(o.tree_clear, MOUNT_ATTR_NOEXEC);
}

static void propagation_is_taken_from_the_last_word(void **state)
{
    struct rt_mountopt o = PARSE("rshared", "slave");

    (void) state;
    assert_int_equal(o.propagation, MS_SLAVE);
    assert_false(o.tree_propagation);
    o = PARSE("private", "rslave");
    assert_int_equal(o.propagation, MS_SLAVE);
    assert_true(o.tree_propagation);
}

static void unknown_words_are_left_to_the_file_system(void **state)
{
    struct rt_mountopt o = PARSE("size=65536k", "nosuid", "mode=755", "sync");

    (void) state;
    assert_int_equal(o.data.len, 2);
    assert_string_equal(o.data.items[0], "size=65536k");
    assert_string_equal(o.data.items[1], "mode=755");
    assert_int_equal(o.super_set, RT_SB_SYNC);
    rt_mountopt_clear(&o);
}

static void words_of_the_file_system_undo_each_other(void **state)
{
    struct rt_mountopt o = PARSE("sync", "lazytime", "iversion", "async", "noiversion");

    (void) state;
    assert_int_equal(o.super_set, RT_SB_LAZYTIME);
    assert_int_equal(o.super_clear, RT_SB_SYNC | RT_SB_IVERSION);
    assert_string_equal(rt_mountopt_super(RT_SB_SYNC, true), "sync");
    assert_string_equal(rt_mountopt_super(RT_SB_SYNC, false), "async");
    assert_null(rt_mountopt_super(RT_SB_DIRSYNC, false));
}

static void special_words_are_known(void **state)
{
    struct rt_mountopt o = PARSE("idmap", "tmpcopyup", "remount");

    (void) state;
    assert_int_equal(o.idmap, RT_IDMAP_TOP);
    assert_true(o.tmpcopyup && o.remount && !o.bind);
    o = PARSE("ridmap");
    assert_int_equal(o.idmap, RT_IDMAP_TREE);
}

static void the_list_of_words_is_sorted_and_each_is_accepted_or_refused(void **state)
{
    const char *word, *before = "";

    (void) state;
    for (unsigned i = 0; (word = rt_mountopt_word(i)) != NULL; i++) {
        struct rt_mountopt o = RT_MOUNTOPT_INIT;
        struct jl_err e = JL_ERR_INIT;
        int r = rt_mountopt_add(&o, word, &e);

        assert_true(strcmp(before, word) < 0);
        assert_true(r == 0 || r == -EINVAL);
        rt_mountopt_clear(&o);
        before = word;
    }
    assert_int_not_equal(strlen(before), 0);
}

UNIT_MAIN(cmocka_unit_test(rw_undoes_ro_and_leaves_the_rest),
          cmocka_unit_test(the_last_access_time_wins),
          cmocka_unit_test(access_times_clear_their_whole_field),
          cmocka_unit_test(recursive_words_concern_the_tree),
          cmocka_unit_test(propagation_is_taken_from_the_last_word),
          cmocka_unit_test(unknown_words_are_left_to_the_file_system),
          cmocka_unit_test(words_of_the_file_system_undo_each_other),
          cmocka_unit_test(special_words_are_known),
          cmocka_unit_test(the_list_of_words_is_sorted_and_each_is_accepted_or_refused))
