import { formatTime, jsonEquals } from '@podwire/kube/object';
import { ApiError } from '@podwire/kube/status';
import { findCondition } from './conditions.ts';
import { controllerOf, controllerRef } from './controller-ref.ts';
import { localTimeReader, nextTime, parseSchedule } from './cronjob/schedule.ts';
import { keyOf, splitKey } from './keys.ts';
import { type Loop, type LoopContext, loopOf, recorderFor, startQueue } from './loop.ts';
import type { CronJob, Draft, Job } from './objects.ts';

const CRON_JOBS = 'cronjobs.batch';
const JOBS = 'jobs.batch';
const SCHEDULED_AT = 'batch.kubernetes.io/cronjob-scheduled-timestamp';
/** More missed times than this are not even counted. */
const MOST_MISSED = 100;

/** Starts a Job at each time of a schedule. Source: pkg/controller/cronjob/cronjob_controllerv2.go. */
export function startCronJobController(context: LoopContext): Loop {
  const { api, clock } = context;
  const events = recorderFor(context, 'cronjob-controller');
  const queue = startQueue(context, 'cronjob-controller', reconcile);
  const stopCronJobs = api.watch<CronJob>(CRON_JOBS, ({ object }) => queue.add(keyOf(object.metadata)));
  const stopJobs = api.watch<Job>(JOBS, ({ object }) => {
    const owner = controllerOf(object);
    if (owner?.kind === 'CronJob') queue.add(`${object.metadata.namespace}/${owner.name}`);
  });

  async function reconcile(key: string): Promise<number | undefined> {
    const { namespace, name } = splitKey(key);
    const cronJob = api.get<CronJob>(CRON_JOBS, namespace, name);
    if (cronJob === undefined || cronJob.metadata.deletionTimestamp !== undefined) return undefined;
    const jobs = jobsOf(cronJob);
    const status = structuredClone(cronJob.status ?? {});
    noteFinished(cronJob, status, jobs);
    await trimHistory(cronJob, jobs);
    const waitMs = cronJob.spec.suspend ? undefined : await schedule(cronJob, status, jobs);
    const active = jobsOf(cronJob).filter((job) => outcomeOf(job) === undefined);
    const known = new Map(status.active?.map((reference) => [reference.uid, reference]));
    status.active = active.map((job) => known.get(job.metadata.uid) ?? referenceTo(job));
    if (active.length === 0) delete status.active;
    if (!jsonEquals(status, cronJob.status ?? {})) {
      await api.update(CRON_JOBS, { ...cronJob, status }, { subresource: 'status' });
    }
    return waitMs;
  }

  function jobsOf({ metadata: { namespace, uid } }: CronJob): Job[] {
    return api.list<Job>(JOBS, { namespace: namespace! }).filter((job) => controllerOf(job)?.uid === uid);
  }

  function noteFinished(
    cronJob: CronJob,
    status: NonNullable<CronJob['status']>,
    jobs: readonly Job[],
  ): void {
    for (const job of jobs) {
      const outcome = outcomeOf(job);
      if (outcome === undefined || !status.active?.some((each) => each.uid === job.metadata.uid)) continue;
      const message = `Saw completed job: ${job.metadata.name}, condition: ${outcome}`;
      events.record(cronJob, 'Normal', 'SawCompletedJob', message);
      const endedAt = job.status?.completionTime;
      if (outcome === 'Complete' && endedAt && endedAt > (status.lastSuccessfulTime ?? '')) {
        status.lastSuccessfulTime = endedAt;
      }
    }
  }

  async function trimHistory(cronJob: CronJob, jobs: readonly Job[]): Promise<void> {
    const { successfulJobsHistoryLimit = 3, failedJobsHistoryLimit = 1 } = cronJob.spec;
    const surplus = (['Complete', 'Failed'] as const).flatMap((outcome) => {
      const limit = outcome === 'Complete' ? successfulJobsHistoryLimit : failedJobsHistoryLimit;
      const finished = jobs
        .filter((job) => outcomeOf(job) === outcome)
        .sort((a, b) => ((a.status?.startTime ?? '') < (b.status?.startTime ?? '') ? -1 : 1));
      return finished.slice(0, Math.max(0, finished.length - limit));
    });
    await Promise.all(surplus.map((job) => remove(cronJob, job)));
  }

  /** Starts what is due; the milliseconds until the next time. */
  async function schedule(
    cronJob: CronJob,
    status: NonNullable<CronJob['status']>,
    jobs: readonly Job[],
  ): Promise<number | undefined> {
    const { spec, metadata } = cronJob;
    const nowMs = clock.nowMs();
    const parsed = parseSchedule(spec.schedule);
    const read = localTimeReader(spec.timeZone ?? 'UTC');
    if (parsed === undefined || read === undefined) {
      const what = parsed === undefined ? `schedule: ${spec.schedule}` : `timezone: ${spec.timeZone}`;
      events.record(
        cronJob,
        'Warning',
        parsed === undefined ? 'UnparseableSchedule' : 'UnknownTimeZone',
        `invalid ${what}`,
      );
      return undefined;
    }
    const lastMs = Date.parse(status.lastScheduleTime ?? metadata.creationTimestamp);
    const deadlineMs = (spec.startingDeadlineSeconds ?? Infinity) * 1000;
    let dueMs: number | undefined;
    let at = nextTime(parsed, Math.max(lastMs, nowMs - deadlineMs), read);
    for (let missed = 0; at !== undefined && at <= nowMs && missed < MOST_MISSED; missed++) {
      dueMs = at;
      at = nextTime(parsed, at, read);
    }
    if (at !== undefined && at <= nowMs) {
      events.record(
        cronJob,
        'Warning',
        'TooManyMissedTimes',
        'too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew',
      );
      dueMs = undefined;
      at = nextTime(parsed, nowMs, read);
      status.lastScheduleTime = formatTime(nowMs);
    }
    if (dueMs !== undefined) await start(cronJob, status, jobs, dueMs);
    return at === undefined ? undefined : at - nowMs;
  }

  async function start(
    cronJob: CronJob,
    status: NonNullable<CronJob['status']>,
    jobs: readonly Job[],
    dueMs: number,
  ): Promise<void> {
    const { spec } = cronJob;
    const active = jobs.filter((job) => outcomeOf(job) === undefined);
    if (active.length > 0 && spec.concurrencyPolicy === 'Forbid') {
      const message = 'Not starting job because prior execution is running and concurrency policy is Forbid';
      events.record(cronJob, 'Normal', 'JobAlreadyActive', message);
      return;
    }
    if (spec.concurrencyPolicy === 'Replace') await Promise.all(active.map((job) => remove(cronJob, job)));
    const { name, namespace } = cronJob.metadata;
    const { metadata, spec: jobSpec } = spec.jobTemplate;
    const draft: Draft<Job> = {
      apiVersion: 'batch/v1',
      kind: 'Job',
      metadata: {
        name: `${name}-${Math.floor(dueMs / 60_000)}`,
        namespace,
        labels: { ...metadata?.labels },
        annotations: { ...metadata?.annotations, [SCHEDULED_AT]: formatTime(dueMs) },
        ownerReferences: [controllerRef(cronJob)],
      },
      spec: structuredClone(jobSpec),
    };
    try {
      const job = (await api.create(JOBS, draft)) as Job;
      events.record(cronJob, 'Normal', 'SuccessfulCreate', `Created job ${job.metadata.name}`);
    } catch (error) {
      if (!(error instanceof ApiError && error.reason === 'AlreadyExists')) {
        events.record(cronJob, 'Warning', 'FailedCreate', `Error creating job: ${(error as Error).message}`);
        throw error;
      }
    }
    status.lastScheduleTime = formatTime(dueMs);
  }

  async function remove(cronJob: CronJob, job: Job): Promise<void> {
    const { namespace, name, uid } = job.metadata;
    await api.delete(JOBS, namespace!, name, { propagationPolicy: 'Background', preconditions: { uid } });
    events.record(cronJob, 'Normal', 'SuccessfulDelete', `Deleted job ${name}`);
  }

  return loopOf(queue, stopCronJobs, stopJobs);
}

function outcomeOf(job: Job): 'Complete' | 'Failed' | undefined {
  return (['Complete', 'Failed'] as const).find(
    (type) => findCondition(job.status?.conditions, type)?.status === 'True',
  );
}

function referenceTo({ metadata }: Job) {
  const { namespace, name, uid, resourceVersion } = metadata;
  return { apiVersion: 'batch/v1', kind: 'Job', namespace, name, uid, resourceVersion };
}
