{{/* What each switch of rbac grants; docs/deployment.md has it as a table. */}}

{{- define "responder.probeRules" -}}
{{- with .Values.rbac.probes }}
{{- if .logs }}
- {apiGroups: [""], resources: [pods], verbs: [list, get]}
- {apiGroups: [""], resources: [pods/log], verbs: [get]}
{{- end }}
{{- if .top }}
- {apiGroups: [metrics.k8s.io], resources: [pods], verbs: [list]}
- {apiGroups: [""], resources: [pods], verbs: [list]}
{{- end }}
{{- if .pods }}
- {apiGroups: [""], resources: [pods], verbs: [list]}
{{- end }}
{{- if .events }}
- {apiGroups: [""], resources: [events], verbs: [list]}
{{- end }}
{{- if .rollouts }}
- {apiGroups: [apps], resources: [deployments], verbs: [list, get]}
- {apiGroups: [apps], resources: [replicasets], verbs: [list]}
{{- end }}
{{- end }}
{{- end }}

{{- define "responder.actionRules" -}}
{{- with .Values.rbac.actions.scale.deployments }}
- {apiGroups: [apps], resources: [deployments], resourceNames: {{ toJson . }}, verbs: [get]}
- {apiGroups: [apps], resources: [deployments/scale], resourceNames: {{ toJson . }}, verbs: [get, patch]}
- {apiGroups: [autoscaling], resources: [horizontalpodautoscalers], verbs: [list]}
{{- end }}
{{- with .Values.rbac.actions.rolloutRestart.deployments }}
- {apiGroups: [apps], resources: [deployments], resourceNames: {{ toJson . }}, verbs: [get, patch]}
{{- end }}
{{- with .Values.rbac.actions.rolloutUndo.deployments }}
- {apiGroups: [apps], resources: [deployments], resourceNames: {{ toJson . }}, verbs: [get, patch]}
- {apiGroups: [apps], resources: [replicasets], verbs: [list]}
{{- end }}
{{- end }}

{{/* Not empty where any switch is on: the pod then needs a token. */}}
{{- define "responder.usesKubernetes" -}}
{{- printf "%s%s" (include "responder.probeRules" .) (include "responder.actionRules" .) | trim }}
{{- end }}
