import type { CronJob, Job } from 'kubernetes-types/batch/v1.d.ts';
import { humanDuration } from '../duration.ts';
import type { Stored } from '../object.ts';
import { AGE, ageOf, integer, NAME, type Printer, printer, text, timeSince, wide } from './columns.ts';
import { CONTAINER_COLUMNS, containerCells, selectorCell } from './workloads.ts';

export const jobs: Printer = printer<Stored<Job>>(
  [
    NAME,
    text('Status', 'Status of the job.'),
    text('Completions'),
    text('Duration', 'Time required to complete the job.'),
    AGE,
    ...CONTAINER_COLUMNS,
    ...wide(text('Selector')),
  ],
  (job, nowMs) => [
    job.metadata.name,
    statusOf(job),
    completionsOf(job),
    durationOf(job, nowMs),
    ageOf(job, nowMs),
    ...containerCells(job.spec?.template),
    selectorCell(job.spec?.selector),
  ],
);

function statusOf(job: Stored<Job>): string {
  const has = (type: string) =>
    job.status?.conditions?.some((each) => each.type === type && each.status === 'True');
  if (has('Complete')) return 'Complete';
  if (has('Failed')) return 'Failed';
  if (job.metadata.deletionTimestamp !== undefined) return 'Terminating';
  return ['Suspended', 'FailureTarget', 'SuccessCriteriaMet'].find(has) ?? 'Running';
}

function completionsOf({ spec, status }: Stored<Job>): string {
  const succeeded = status?.succeeded ?? 0;
  if (spec?.completions !== undefined) return `${succeeded}/${spec.completions}`;
  const parallelism = spec?.parallelism ?? 1;
  return parallelism > 1 ? `${succeeded}/1 of ${parallelism}` : `${succeeded}/1`;
}

function durationOf({ status }: Stored<Job>, nowMs: number): string {
  if (!status?.startTime) return '';
  const endMs = status.completionTime ? Date.parse(status.completionTime) : nowMs;
  return humanDuration(endMs - Date.parse(status.startTime));
}

export const cronJobs: Printer = printer<Stored<CronJob>>(
  [
    NAME,
    text('Schedule'),
    text('Timezone'),
    text('Suspend'),
    integer('Active'),
    text('Last Schedule'),
    AGE,
    ...CONTAINER_COLUMNS,
    ...wide(text('Selector')),
  ],
  (cronJob, nowMs) => {
    const { spec, status } = cronJob;
    return [
      cronJob.metadata.name,
      spec?.schedule ?? '',
      spec?.timeZone ?? '<none>',
      spec?.suspend ? 'True' : 'False',
      status?.active?.length ?? 0,
      status?.lastScheduleTime ? timeSince(status.lastScheduleTime, nowMs) : '<none>',
      ageOf(cronJob, nowMs),
      ...containerCells(spec?.jobTemplate.spec?.template),
      selectorCell(spec?.jobTemplate.spec?.selector),
    ];
  },
);
