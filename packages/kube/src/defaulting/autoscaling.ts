import { fillAbsent, fillObject, isAbsent, isEmpty, type JsonObject } from '../json-fields.ts';
import { isJsonObject } from '../object.ts';

const PERIOD_SECONDS = 15;

/** Source: pkg/apis/autoscaling/v2/defaults.go. */
export function defaultHorizontalPodAutoscaler(autoscaler: JsonObject): void {
  const spec = fillObject(autoscaler, 'spec');
  if (spec === undefined) return;
  fillAbsent(spec, 'minReplicas', 1);
  if (isEmpty(spec.metrics)) {
    const target = { type: 'Utilization', averageUtilization: 80 };
    spec.metrics = [{ type: 'Resource', resource: { name: 'cpu', target } }];
  }
  if (isAbsent(spec.behavior) || !isJsonObject(spec.behavior)) return;
  const up = fillObject(spec.behavior, 'scaleUp');
  if (up !== undefined) {
    fillAbsent(up, 'stabilizationWindowSeconds', 0);
    fillAbsent(up, 'selectPolicy', 'Max');
    fillAbsent(up, 'policies', [
      { type: 'Pods', value: 4, periodSeconds: PERIOD_SECONDS },
      { type: 'Percent', value: 100, periodSeconds: PERIOD_SECONDS },
    ]);
  }
  const down = fillObject(spec.behavior, 'scaleDown');
  if (down !== undefined) {
    fillAbsent(down, 'selectPolicy', 'Max');
    fillAbsent(down, 'policies', [{ type: 'Percent', value: 100, periodSeconds: PERIOD_SECONDS }]);
  }
}
