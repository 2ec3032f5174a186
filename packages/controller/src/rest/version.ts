/** What `/version` says: the Kubernetes version whose behaviour this server follows. */
export const VERSION = {
  major: '1',
  minor: '32',
  gitVersion: 'v1.32.4+podwire',
  gitCommit: '',
  gitTreeState: 'clean',
  buildDate: '1970-01-01T00:00:00Z',
  goVersion: '',
  compiler: 'node',
  platform: `${process.platform}/${process.arch}`,
} as const;
