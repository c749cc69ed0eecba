/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/flood_cpu.h"

#include <string.h>
#include <sys/resource.h>

#include "client/cli/survey.h"
#include "common/os/clock.h"
#include "common/os/thread.h"

enum {
    SURVEY_MS = 500, /* who has not answered by then is asked again a second later */
    LOOK_MS = 20,    /* how often the thread looks whether it is time */
};

/* ---- one process ---- */

void cpu_meter_read(struct cpu_meter *meter, uint64_t cpu_us, uint64_t now_ns)
{
    if (!meter->known) {
        *meter = (struct cpu_meter){.known = true, .first_ns = now_ns};
    } else {
        /* Less than before: another process, whose time since its start is all new. */
        meter->used_us += cpu_us >= meter->last_us ? cpu_us - meter->last_us : cpu_us;
    }
    meter->last_us = cpu_us;
    meter->last_ns = now_ns;
}

double cpu_meter_cores(const struct cpu_meter *meter)
{
    return meter->last_ns > meter->first_ns
               ? (double)meter->used_us * (double)NANOSECONDS_PER_MICROSECOND /
                     (double)(meter->last_ns - meter->first_ns)
               : 0;
}

/* From one reading to a later one. */
static struct cpu_meter meter_since(const struct cpu_meter *before, const struct cpu_meter *now)
{
    struct cpu_meter between = *now;
    if (before->known) {
        between.used_us -= before->used_us;
        between.first_ns = before->last_ns;
    }
    return between;
}

/* ---- all of them ---- */

static uint64_t own_cpu_us(void)
{
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0) {
        return 0;
    }
    return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000 * 1000 +
           (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

/* A replica of an earlier version does not say. */
static bool reported_cpu_us(const struct survey_report *report, uint64_t *cpu_us)
{
    for (uint32_t i = 0; i < report->counter_count; i++) {
        if (strcmp(report->counters[i].name, "cpu_us") == 0) {
            *cpu_us = report->counters[i].value;
            return true;
        }
    }
    return false;
}

static void sum_up(const struct cpu_meter *members, uint32_t member_count,
                   const struct cpu_meter *own, struct flood_cpu_usage *usage)
{
    memset(usage, 0, sizeof *usage);
    usage->member_count = member_count;
    for (uint32_t i = 0; i < member_count; i++) {
        usage->members[i] = cpu_meter_cores(&members[i]);
        usage->replicas += usage->members[i];
        usage->replicas_known |= members[i].last_ns > members[i].first_ns;
    }
    usage->own_known = own->last_ns > own->first_ns;
    usage->own = cpu_meter_cores(own);
}

static void take_survey(struct flood_cpu *cpu, const struct survey *survey, uint64_t now_ns)
{
    struct cpu_meter between[REPLICAS_MAX] = {0};
    mutex_lock(&cpu->mutex);
    cpu->member_count = survey->has_configuration ? survey->target_count : 0;
    for (uint32_t i = 0; i < cpu->member_count && i < REPLICAS_MAX; i++) {
        const struct survey_target *target = &survey->targets[i];
        const struct cpu_meter before = cpu->members[i];
        uint64_t cpu_us;
        if (target->answered && reported_cpu_us(&target->report, &cpu_us)) {
            cpu->member_ids[i] = target->report.replica_id;
            cpu_meter_read(&cpu->members[i], cpu_us, now_ns);
            between[i] = meter_since(&before, &cpu->members[i]);
        }
    }
    const struct cpu_meter own = cpu->own;
    cpu_meter_read(&cpu->own, own_cpu_us(), now_ns);
    const struct cpu_meter own_between = meter_since(&own, &cpu->own);
    sum_up(between, cpu->member_count, &own_between, &cpu->latest);
    mutex_unlock(&cpu->mutex);
}

static void ask(struct flood_cpu *cpu)
{
    struct survey survey;
    if (survey_run(&survey, cpu->list->addresses, cpu->list->count, SURVEY_MS,
                   cpu->datagram_size) == 0) {
        /* Answers are a round trip old, some seconds apart. */
        take_survey(cpu, &survey, clock_monotonic_ns() - survey.took_ns);
        survey_free(&survey);
    }
}

static bool wait_until(struct flood_cpu *cpu, uint64_t at_ns)
{
    uint64_t now_ns = clock_monotonic_ns();
    while (now_ns < at_ns && !atomic_load(&cpu->stopping)) {
        const uint64_t look_ns = LOOK_MS * NANOSECONDS_PER_MILLISECOND;
        clock_sleep_ns(at_ns - now_ns < look_ns ? at_ns - now_ns : look_ns);
        now_ns = clock_monotonic_ns();
    }
    return !atomic_load(&cpu->stopping);
}

static void *run(void *argument)
{
    struct flood_cpu *cpu = argument;
    uint64_t next_ns = cpu->begin_ns;
    while (wait_until(cpu, next_ns)) {
        ask(cpu);
        next_ns += NANOSECONDS_PER_SECOND;
    }
    ask(cpu);
    return NULL;
}

void flood_cpu_start(struct flood_cpu *cpu, const struct cluster_list *list, uint32_t datagram_size,
                     uint64_t begin_ns)
{
    memset(cpu, 0, sizeof *cpu);
    cpu->list = list;
    cpu->datagram_size = datagram_size;
    cpu->begin_ns = begin_ns;
    mutex_init(&cpu->mutex);
    cpu->started = thread_start(&cpu->thread, "flood cpu", run, cpu) == 0;
}

void flood_cpu_latest(struct flood_cpu *cpu, struct flood_cpu_usage *usage)
{
    mutex_lock(&cpu->mutex);
    *usage = cpu->latest;
    mutex_unlock(&cpu->mutex);
}

void flood_cpu_stop(struct flood_cpu *cpu)
{
    atomic_store(&cpu->stopping, true);
}

void flood_cpu_join(struct flood_cpu *cpu, struct flood_cpu_usage *usage)
{
    if (cpu->started) {
        thread_join(cpu->thread);
    }
    mutex_destroy(&cpu->mutex);
    sum_up(cpu->members, cpu->member_count, &cpu->own, usage);
    memcpy(usage->member_ids, cpu->member_ids, sizeof usage->member_ids);
}
