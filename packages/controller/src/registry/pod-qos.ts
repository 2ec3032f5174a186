interface Resources {
  requests?: Record<string, unknown>;
  limits?: Record<string, unknown>;
}

/** Quality-of-service class of a PodSpec (pkg/apis/core/v1/helper/qos): by cpu and memory of all containers. */
export function podQosClass(spec: unknown): 'Guaranteed' | 'Burstable' | 'BestEffort' {
  const { containers, initContainers } = (spec ?? {}) as {
    containers?: { resources?: Resources }[];
    initContainers?: { resources?: Resources }[];
  };
  let anything = false;
  let guaranteed = true;
  for (const { resources } of [...(containers ?? []), ...(initContainers ?? [])]) {
    for (const name of ['cpu', 'memory']) {
      const request = resources?.requests?.[name];
      const limit = resources?.limits?.[name];
      if (isPositive(request) || isPositive(limit)) anything = true;
      if (!isPositive(limit) || (request !== undefined && String(request) !== String(limit)))
        guaranteed = false;
    }
  }
  if (!anything) return 'BestEffort';
  return guaranteed ? 'Guaranteed' : 'Burstable';
}

function isPositive(quantity: unknown): boolean {
  return quantity !== undefined && Number.parseFloat(String(quantity)) > 0;
}
