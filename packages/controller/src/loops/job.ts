import { formatTime, jsonEquals } from '@podwire/kube/object';
import { matchesLabelSelector } from '@podwire/kube/selectors';
import { ApiError } from '@podwire/kube/status';
import { findCondition, setCondition } from './conditions.ts';
import { claim, controllerOf, withMeta } from './controller-ref.ts';
import { formatIndexes, freeIndexes, INDEX_ANNOTATION, indexOf, parseIndexes } from './job/indexes.ts';
import { keyOf, splitKey } from './keys.ts';
import { type Loop, type LoopContext, loopOf, recorderFor, startQueue } from './loop.ts';
import type { Job, JobStatus, Pod } from './objects.ts';
import { isPodFinished, isPodReady, isTerminating } from './pod-state.ts';
import { podFromTemplate } from './pod-template.ts';

const JOBS = 'jobs.batch';
/** Holds a pod until its outcome has been counted. */
const TRACKING_FINALIZER = 'batch.kubernetes.io/job-tracking';
const FIRST_BACKOFF_MS = 10_000;
const LONGEST_BACKOFF_MS = 600_000;

interface Outcome {
  type: 'Complete' | 'Failed';
  reason: string;
  message: string;
}

/**
 * Runs pods to completion. The outcome of each pod is first noted by uid in the status, then its finalizer goes, then it is counted:
 * wherever that is interrupted, no pod counts twice or not at all. Source: pkg/controller/job/job_controller.go.
 * Not done: pod failure policy, success policy, backoff per index.
 */
export function startJobController(context: LoopContext): Loop {
  const { api, clock } = context;
  const events = recorderFor(context, 'job-controller');
  const queue = startQueue(context, 'job-controller', reconcile);
  /** When each Job's newest failed pod ended, and how many failed since one succeeded. */
  const failures = new Map<string, { count: number; lastMs: number }>();

  const stopJobs = api.watch<Job>(JOBS, ({ type, object }) => {
    if (type === 'DELETED') failures.delete(object.metadata.uid);
    queue.add(keyOf(object.metadata));
  });
  const stopPods = api.watch<Pod>('pods', ({ object, previous }) => {
    const namespace = object.metadata.namespace!;
    for (const owner of [controllerOf(object), previous && controllerOf(previous)]) {
      if (owner?.kind === 'Job') queue.add(`${namespace}/${owner.name}`);
    }
  });

  async function reconcile(key: string): Promise<number | undefined> {
    const { namespace, name } = splitKey(key);
    const job = api.get<Job>(JOBS, namespace, name);
    if (job === undefined) {
      await releaseOrphans(namespace, name);
      return undefined;
    }
    const { uid } = job.metadata;
    const candidates = api
      .list<Pod>('pods', { namespace })
      .filter((pod) => (controllerOf(pod)?.uid ?? (job.spec.selector && uid)) === uid);
    const pods = await claim({
      api,
      resource: 'pods',
      owner: job,
      candidates,
      selects: (labels) => job.spec.selector === undefined || matchesLabelSelector(job.spec.selector, labels),
    });
    if (isFinished(job)) {
      await Promise.all(pods.map(dropFinalizer));
      return expire(job);
    }
    if (job.metadata.deletionTimestamp !== undefined) {
      await Promise.all(pods.map(dropFinalizer));
      return undefined;
    }
    return sync(job, pods);
  }

  async function sync(job: Job, pods: readonly Pod[]): Promise<number | undefined> {
    const nowMs = clock.nowMs();
    const { spec } = job;
    const before = job.status ?? {};
    const status: JobStatus = { ...structuredClone(before) };
    const completions = spec.completions;
    const suspended = spec.suspend === true;
    if (status.startTime === undefined && !suspended) status.startTime = formatTime(nowMs);

    const finished = countFinished(job, pods, status, completions ?? 0);
    if (finished.newlySucceeded > 0) failures.delete(job.metadata.uid);
    if (finished.newlyFailed > 0) {
      const known = failures.get(job.metadata.uid)?.count ?? 0;
      failures.set(job.metadata.uid, { count: known + finished.newlyFailed, lastMs: nowMs });
    }

    const active = pods.filter((pod) => !isPodFinished(pod) && !isTerminating(pod));
    const deadlineMs = deadlineOf(job, status);
    const outcome = outcomeOf(job, status, active, deadlineMs !== undefined && nowMs >= deadlineMs);
    const left = outcome === undefined ? await manage(job, status, pods, active) : [];
    if (outcome !== undefined) await Promise.all(active.map((pod) => removePod(job, pod)));
    if (outcome?.type === 'Failed') setCount(status, 'failed', (status.failed ?? 0) + active.length);

    setCount(status, 'active', left.length);
    status.ready = left.filter(isPodReady).length;
    status.terminating = pods.filter((pod) => isTerminating(pod) && !isPodFinished(pod)).length;
    const uids = (held: readonly Pod[]) => held.map((pod) => pod.metadata.uid);
    status.uncountedTerminatedPods = {
      ...(finished.succeeded.length > 0 ? { succeeded: uids(finished.succeeded) } : {}),
      ...(finished.failed.length > 0 ? { failed: uids(finished.failed) } : {}),
    };
    noteSuspension(job, status, suspended, nowMs);
    if (outcome !== undefined) finish(job, status, outcome, nowMs);
    if (!jsonEquals(before, status)) await api.update(JOBS, { ...job, status }, { subresource: 'status' });
    await Promise.all([...finished.succeeded, ...finished.failed].map(dropFinalizer));
    if (outcome !== undefined) return undefined;

    const waits = [
      deadlineMs === undefined ? Infinity : deadlineMs - nowMs,
      suspended ? Infinity : backoffUntilMs(job) - nowMs,
    ].filter((waitMs) => waitMs > 0);
    const next = Math.min(...waits);
    return Number.isFinite(next) ? next : undefined;
  }

  /** Adds finished pods not counted yet to the status. All that still have the finalizer are returned. */
  function countFinished(job: Job, pods: readonly Pod[], status: JobStatus, completions: number) {
    const held = pods.filter((pod) => pod.metadata.finalizers?.includes(TRACKING_FINALIZER));
    const succeeded = held.filter((pod) => pod.status?.phase === 'Succeeded');
    const failed = held.filter(
      (pod) =>
        pod.status?.phase === 'Failed' || (isTerminating(pod) && !isPodFinished(pod) && isAbandoned(pod)),
    );
    const { succeeded: noted = [], failed: notedFailed = [] } = status.uncountedTerminatedPods ?? {};
    const isNew = (pod: Pod) => !noted.includes(pod.metadata.uid) && !notedFailed.includes(pod.metadata.uid);
    const newlySucceeded = succeeded.filter(isNew);
    const newlyFailed = failed.filter(isNew);
    if (job.spec.completionMode === 'Indexed') {
      const done = parseIndexes(status.completedIndexes, completions);
      for (const pod of newlySucceeded) {
        const index = indexOf(pod);
        if (index >= 0 && index < completions) done.add(index);
      }
      if (done.size > 0) status.completedIndexes = formatIndexes(done);
      setCount(status, 'succeeded', done.size);
    } else setCount(status, 'succeeded', (status.succeeded ?? 0) + newlySucceeded.length);
    setCount(status, 'failed', (status.failed ?? 0) + newlyFailed.length);
    return { succeeded, failed, newlySucceeded: newlySucceeded.length, newlyFailed: newlyFailed.length };
  }

  /** Starts and stops pods; returns those that are to go on. */
  async function manage(job: Job, status: JobStatus, pods: readonly Pod[], active: Pod[]): Promise<Pod[]> {
    const { spec } = job;
    const parallelism = spec.suspend ? 0 : (spec.parallelism ?? 1);
    const succeeded = status.succeeded ?? 0;
    let wanted = parallelism;
    if (spec.completions !== undefined) wanted = Math.min(parallelism, spec.completions - succeeded);
    // Without completions, one success means that no more pods are started.
    else if (succeeded > 0) wanted = Math.min(parallelism, active.length);
    wanted = Math.max(0, wanted);

    if (active.length > wanted) {
      const sorted = [...active].sort((a, b) => Number(isPodReady(a)) - Number(isPodReady(b)));
      const surplus = new Set(sorted.slice(0, active.length - wanted));
      await Promise.all([...surplus].map((pod) => removePod(job, pod)));
      return active.filter((pod) => !surplus.has(pod));
    }
    const busy = spec.podReplacementPolicy === 'Failed' ? pods.filter((pod) => !isPodFinished(pod)) : active;
    const missing = wanted - busy.length;
    if (missing <= 0 || backoffUntilMs(job) > clock.nowMs()) return active;
    const drafts = Array.from({ length: missing }, () => podFromTemplate(spec.template, job));
    let ready = drafts;
    if (spec.completionMode === 'Indexed') {
      const taken = parseIndexes(status.completedIndexes, spec.completions!);
      for (const pod of busy) taken.add(indexOf(pod));
      const free = freeIndexes(spec.completions!, taken, missing);
      ready = drafts.slice(0, free.length);
      ready.forEach((draft, i) => {
        const index = String(free[i]);
        draft.metadata.generateName = `${job.metadata.name}-${index}-`;
        draft.metadata.annotations = { ...draft.metadata.annotations, [INDEX_ANNOTATION]: index };
        draft.metadata.labels = { ...draft.metadata.labels, [INDEX_ANNOTATION]: index };
        draft.spec.hostname ??= `${job.metadata.name}-${index}`;
        const variable = { name: 'JOB_COMPLETION_INDEX', value: index };
        for (const container of [...(draft.spec.initContainers ?? []), ...draft.spec.containers]) {
          const env = (container.env as { name: string }[] | undefined) ?? [];
          if (!env.some(({ name }) => name === variable.name)) container.env = [...env, variable];
        }
      });
    }
    const created = await Promise.all(
      ready.map(async (draft) => {
        draft.metadata.finalizers = [...(draft.metadata.finalizers ?? []), TRACKING_FINALIZER];
        try {
          const pod = (await api.create('pods', draft)) as Pod;
          events.record(job, 'Normal', 'SuccessfulCreate', `Created pod: ${pod.metadata.name}`);
          return pod;
        } catch (error) {
          events.record(job, 'Warning', 'FailedCreate', `Error creating: ${(error as Error).message}`);
          throw error;
        }
      }),
    );
    return [...active, ...created];
  }

  function backoffUntilMs(job: Job): number {
    const known = failures.get(job.metadata.uid);
    if (known === undefined) return 0;
    const delayMs = Math.min(FIRST_BACKOFF_MS * 2 ** (known.count - 1), LONGEST_BACKOFF_MS);
    return known.lastMs + delayMs;
  }

  function noteSuspension(job: Job, status: JobStatus, suspended: boolean, nowMs: number): void {
    const old = findCondition(status.conditions, 'Suspended');
    if (suspended && old?.status !== 'True') {
      const condition = {
        type: 'Suspended',
        status: 'True',
        reason: 'JobSuspended',
        message: 'Job suspended',
      };
      status.conditions = setCondition(status.conditions, condition, nowMs);
      delete status.startTime;
      events.record(job, 'Normal', 'Suspended', 'Job suspended');
    } else if (!suspended && old?.status === 'True') {
      const condition = { type: 'Suspended', status: 'False', reason: 'JobResumed', message: 'Job resumed' };
      status.conditions = setCondition(status.conditions, condition, nowMs);
      status.startTime = formatTime(nowMs);
      events.record(job, 'Normal', 'Resumed', 'Job resumed');
    }
  }

  function finish(job: Job, status: JobStatus, { type, reason, message }: Outcome, nowMs: number): void {
    const first = type === 'Complete' ? 'SuccessCriteriaMet' : 'FailureTarget';
    for (const each of [first, type]) {
      const condition = { type: each, status: 'True', reason, message };
      status.conditions = setCondition(status.conditions, condition, nowMs);
    }
    status.conditions = status.conditions!.map((each) => ({ lastProbeTime: formatTime(nowMs), ...each }));
    if (type === 'Complete') {
      status.completionTime = formatTime(nowMs);
      events.record(job, 'Normal', 'Completed', 'Job completed');
    } else events.record(job, 'Warning', reason, message);
  }

  async function removePod(job: Job, pod: Pod): Promise<void> {
    const { namespace, name, uid } = pod.metadata;
    await dropFinalizer(pod);
    try {
      await api.delete('pods', namespace!, name, { preconditions: { uid } });
      events.record(job, 'Normal', 'SuccessfulDelete', `Deleted pod: ${name}`);
    } catch (error) {
      if (!(error instanceof ApiError && error.code === 404)) throw error;
    }
  }

  async function dropFinalizer(pod: Pod): Promise<void> {
    const { namespace, name, uid } = pod.metadata;
    const newest = api.get<Pod>('pods', namespace!, name);
    if (newest?.metadata.uid !== uid || !newest.metadata.finalizers?.includes(TRACKING_FINALIZER)) return;
    const finalizers = newest.metadata.finalizers.filter((each) => each !== TRACKING_FINALIZER);
    await api.update('pods', withMeta(newest, { finalizers }));
  }

  /** Pods of a Job that is gone are nobody's to count. */
  async function releaseOrphans(namespace: string, name: string): Promise<void> {
    const held = api.list<Pod>('pods', { namespace }).filter((pod) => {
      const owner = controllerOf(pod);
      return owner?.kind === 'Job' && owner.name === name;
    });
    await Promise.all(held.map(dropFinalizer));
  }

  /** A pod being deleted that no agent reports on any more: it never got a node, or its node is gone. */
  function isAbandoned(pod: Pod): boolean {
    return pod.metadata.deletionGracePeriodSeconds === 0 || !pod.spec.nodeName;
  }

  /** Deletes a finished Job after its time; the milliseconds until then. */
  async function expire(job: Job): Promise<number | undefined> {
    const seconds = job.spec.ttlSecondsAfterFinished;
    const end = job.status?.conditions?.find(({ type }) => type === 'Complete' || type === 'Failed');
    if (seconds === undefined || end?.lastTransitionTime === undefined) return undefined;
    if (job.metadata.deletionTimestamp !== undefined) return undefined;
    const waitMs = Date.parse(end.lastTransitionTime) + seconds * 1000 - clock.nowMs();
    if (waitMs > 0) return waitMs;
    const { namespace, name, uid } = job.metadata;
    await api.delete(JOBS, namespace!, name, { propagationPolicy: 'Foreground', preconditions: { uid } });
    return undefined;
  }

  return loopOf(queue, stopJobs, stopPods);
}

function isFinished(job: Job): boolean {
  return ['Complete', 'Failed'].some(
    (type) => findCondition(job.status?.conditions, type)?.status === 'True',
  );
}

/** Zero is left out, as in upstream's JSON. */
function setCount(status: JobStatus, field: 'active' | 'succeeded' | 'failed', count: number): void {
  if (count > 0) status[field] = count;
  else delete status[field];
}

function deadlineOf(job: Job, status: JobStatus): number | undefined {
  const seconds = job.spec.activeDeadlineSeconds;
  if (seconds === undefined || !status.startTime || job.spec.suspend) return undefined;
  return Date.parse(status.startTime) + seconds * 1000;
}

function outcomeOf(
  job: Job,
  status: JobStatus,
  activePods: readonly Pod[],
  isLate: boolean,
): Outcome | undefined {
  const { completions, backoffLimit = 6 } = job.spec;
  const active = activePods.length;
  if ((status.failed ?? 0) > backoffLimit || restartsExceed(job, activePods, backoffLimit)) {
    const message = 'Job has reached the specified backoff limit';
    return { type: 'Failed', reason: 'BackoffLimitExceeded', message };
  }
  if (isLate) {
    const message = 'Job was active longer than specified deadline';
    return { type: 'Failed', reason: 'DeadlineExceeded', message };
  }
  const succeeded = status.succeeded ?? 0;
  const complete = completions === undefined ? succeeded > 0 && active === 0 : succeeded >= completions;
  if (!complete || job.spec.suspend) return undefined;
  return {
    type: 'Complete',
    reason: 'CompletionsReached',
    message: 'Reached expected number of succeeded pods',
  };
}

/** Where failed containers are restarted in place, their restarts count as failures. */
function restartsExceed(job: Job, active: readonly Pod[], backoffLimit: number): boolean {
  if (job.spec.template.spec.restartPolicy !== 'OnFailure') return false;
  const restarts = active
    .flatMap(({ status }) => [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])])
    .reduce((sum, { restartCount = 0 }) => sum + restartCount, 0);
  return backoffLimit === 0 ? restarts > 0 : restarts >= backoffLimit;
}
