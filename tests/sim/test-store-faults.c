/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Every call to the disk fails in turn, once and for ever, with each errno a disk may answer, also by doing
 * less than asked. Whatever it is: nothing acked is lost, nothing is twice, and with the fault gone the
 * store goes on. A sweep ends with a run that no fault reached.
 */

#include "check-main.h"
#include "fault-disk.h"
#include "store-world.h"

#include <inttypes.h>

#define OPERATIONS 120U
#define SEED 7U

static const struct {
        int error;
        bool for_ever;
} faults[] = {
        {-EIO, false},    {-EIO, true},         {-ENOSPC, false},    {-ENOSPC, true},
        {-EDQUOT, false}, {-EDQUOT, true},      {-EFBIG, false},     {-EINTR, false},
        {-EINTR, true},   {-EMFILE, false},     {-EMFILE, true},     {-EROFS, false},
        {-EROFS, true},   {FAULT_SHORT, false}, {FAULT_SHORT, true}, {-EOPNOTSUPP, false},
};

static Disk *put_in_front(Disk *inner, void *plan)
{
        return fault_disk_new(inner, plan);
}

/* One run with the fault at call n. Returns whether the fault was reached. */
static bool run(uint64_t n, int error, bool for_ever, uint64_t *written)
{
        FaultPlan plan = { .at = n, .error = error, .for_ever = for_ever };
        World *world = world_new(SEED);
        bool alive;

        world->front = put_in_front;
        world->front_userdata = &plan;
        alive = world_open(world) == 0;
        if (!alive && !for_ever)
                alive = world_open(world) == 0;
        for (unsigned i = 0; alive && i < OPERATIONS; i++)
                world_operate(world);
        for (unsigned s = 0; s < WORLD_STREAMS; s++)
                *written += world->acked[s];
        world_die(world);
        sim_disk_fail_sync_at(world->sim, 0);
        plan.at = 0;
        if (n % 2)
                sim_disk_power_cycle(world->sim);
        ck_assert_msg(world_come_back(world, false), "errno %d at call %" PRIu64 "%s: %s", error, n,
                      for_ever ? " and ever after" : "", world->failure);
        /* It goes on. */
        for (unsigned i = 0; i < OPERATIONS / 4; i++)
                world_operate(world);
        world_die(world);
        sim_disk_fail_sync_at(world->sim, 0);
        ck_assert_msg(world_come_back(world, false), "errno %d at call %" PRIu64 "%s, later: %s", error, n,
                      for_ever ? " and ever after" : "", world->failure);
        (void) world_free(world);
        return plan.hit;
}

START_TEST(every_call_may_fail)
{
        uint64_t n = 1, written = 0;

        while (run(n, faults[_i].error, faults[_i].for_ever, &written))
                n++;
        ck_assert_uint_gt(n, 200);
        /* A fault that passes does not end the work. */
        ck_assert(faults[_i].for_ever || written / n > 20);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("store-faults");
        TCase *tcase = tcase_create("store-faults");

        tcase_set_timeout(tcase, 60);
        tcase_add_loop_test(tcase, every_call_may_fail, 0, (int) ELEMENTSOF(faults));
        suite_add_tcase(suite, tcase);
        return check_main(suite);
}
