{{/* responder.yaml: the values' config, with the address that links in pages point to. */}}
{{- define "responder.config" -}}
{{- $config := deepCopy .Values.config }}
{{- if not $config.external_url }}
{{- $_ := set $config "external_url" (include "responder.externalUrl" .) }}
{{- end }}
{{- toYaml $config }}
{{- end }}

{{- define "responder.externalUrl" -}}
{{- if and .Values.ingress.enabled .Values.ingress.hosts }}
{{- printf "%s://%s" (ternary "https" "http" (not (empty .Values.ingress.tls))) (first .Values.ingress.hosts) }}
{{- else }}
{{- printf "http://%s.%s.svc:%v" (include "responder.fullname" .) .Release.Namespace .Values.service.port }}
{{- end }}
{{- end }}

{{/* Places below a value where a secret is written out, one a line. */}}
{{- define "responder.secretsIn" -}}
{{- $at := .at }}
{{- if kindIs "map" .value }}
  {{- range $key, $value := .value }}
    {{- $place := printf "%s.%s" $at $key }}
    {{- if and (kindIs "string" $value) (regexMatch "(?i)(password|passwd|secret|token|topic|key|authorization|cookie)$" $key) }}
      {{- if and $value (not (contains "${" (replace "$$" "" $value))) }}
{{ $place }}
      {{- end }}
    {{- else }}
      {{- include "responder.secretsIn" (dict "at" $place "value" $value) }}
    {{- end }}
  {{- end }}
{{- else if kindIs "slice" .value }}
  {{- range $index, $value := .value }}
    {{- include "responder.secretsIn" (dict "at" (printf "%s[%d]" $at $index) "value" $value) }}
  {{- end }}
{{- else if kindIs "string" .value }}
  {{- if regexMatch "://[^/?#@\\s]*:[^/?#@$\\s]+@" (replace "$$" "" .value) }}
{{ $at }}
  {{- end }}
{{- end }}
{{- end }}

{{/* A duration as Prometheus writes it, in whole seconds. */}}
{{- define "responder.seconds" -}}
{{- $units := dict "ms" 0 "s" 1 "m" 60 "h" 3600 "d" 86400 "w" 604800 "y" 31536000 }}
{{- $sum := 0 }}
{{- range regexFindAll "[0-9]+(ms|[smhdwy])" . -1 }}
{{- $sum = add $sum (mul (regexFind "^[0-9]+" . | int) (get $units (regexFind "[a-z]+$" .))) }}
{{- end }}
{{- $sum }}
{{- end }}

{{/* Refuses what would be accepted by Kubernetes and lose alerts, pages or secrets. */}}
{{- define "responder.check" -}}
{{- if and (include "responder.embedded" .) (gt (int .Values.replicas) 1) }}
{{- fail (printf "replicas: %d, but the embedded store lives in one pod; set config.redis.url for more than one replica" (int .Values.replicas)) }}
{{- end }}
{{- if regexMatch "^(127\\.|localhost|\\[::1\\])" .Values.config.listen }}
{{- fail (printf "config.listen: %s is reached from inside the pod only; use 0.0.0.0:8080" .Values.config.listen) }}
{{- end }}
{{- if and .Values.rules .Values.existingRulesConfigMap }}
{{- fail "rules and existingRulesConfigMap: give one of them" }}
{{- end }}
{{- $needed := add .Values.preStopSeconds (include "responder.seconds" (default "20s" .Values.config.shutdown_grace) | int) 15 }}
{{- if lt (int .Values.terminationGracePeriodSeconds) (int $needed) }}
{{- fail (printf "terminationGracePeriodSeconds: %d is too short: preStopSeconds, config.shutdown_grace and 15 s for the door and the store take %d" (int .Values.terminationGracePeriodSeconds) (int $needed)) }}
{{- end }}
{{- $secrets := include "responder.secretsIn" (dict "at" "config" "value" .Values.config) | trim }}
{{- if $secrets }}
{{- fail (printf "secrets do not belong into values: %s; write ${NAME} and give NAME by env or envFrom, or use the _file form with secretFiles" (regexReplaceAll "\\s+" $secrets ", ")) }}
{{- end }}
{{- if and .Values.rbac.create (include "responder.usesKubernetes" .) (not .Values.rbac.namespaces) }}
{{- fail "rbac.namespaces: name the namespaces where probes may look and actions may act" }}
{{- end }}
{{- end }}
