/** The few fields of Kubernetes objects that the command line reads; everything else passes through untouched. */
export interface ObjectMeta {
  name: string;
  namespace?: string;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  deletionTimestamp?: string;
  creationTimestamp?: string;
  uid?: string;
}

export interface NodeObject {
  metadata: ObjectMeta;
  spec: { podCIDR?: string; podCIDRs?: string[]; unschedulable?: boolean };
  status: {
    conditions?: { type: string; status: string; reason?: string }[];
    addresses?: { type: string; address: string }[];
  };
}

export interface PodObject {
  metadata: ObjectMeta;
  spec: {
    nodeName?: string;
    hostNetwork?: boolean;
    containers: {
      name: string;
      image?: string;
      ports?: { name?: string; containerPort: number; protocol?: string }[];
      env?: { name: string; value?: string }[];
    }[];
  };
  status: {
    phase?: string;
    podIP?: string;
    conditions?: { type: string; status: string }[];
  };
}

export interface ServiceObject {
  metadata: ObjectMeta;
  spec: {
    type?: string;
    clusterIP?: string;
    selector?: Record<string, string>;
    ports?: ServicePort[];
  };
}

export interface EndpointSlice {
  metadata: ObjectMeta;
  endpoints?: { addresses: string[]; conditions?: { ready?: boolean } }[] | null;
}

export interface ServicePort {
  name?: string;
  port: number;
  targetPort?: number | string;
  nodePort?: number;
  protocol?: string;
  appProtocol?: string;
}

export interface List<T> {
  items: T[];
}

export function isReady(object: { status?: { conditions?: { type: string; status: string }[] } }): boolean {
  return object.status?.conditions?.some((c) => c.type === 'Ready' && c.status === 'True') ?? false;
}
