{{- /* Parts of Services and NetworkPolicies. */ -}}

{{- define "berth.ipFamilies" }}
ipFamilyPolicy: {{ .Values.service.ipFamilyPolicy }}
{{- with .Values.service.ipFamilies }}
ipFamilies:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "berth.policy.dns" }}
- ports: [{protocol: UDP, port: 53}, {protocol: TCP, port: 53}]
  {{- with .Values.networkPolicy.dnsTo }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- with .Values.networkPolicy.extraEgress }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "berth.policy.uplinks" }}
- ports:
    {{- range .Values.networkPolicy.uplinkPorts }}
    - {protocol: TCP, port: {{ int . }}}
    {{- end }}
  {{- with .Values.networkPolicy.uplinksTo }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}

{{- define "berth.policy.redis" }}
{{- if .Values.redis.bundled.enabled }}
- ports: [{protocol: TCP, port: 6379}]
  to:
    - podSelector:
        matchLabels:
          {{- include "berth.selector" (list . "redis") | nindent 10 }}
{{- else }}
- ports:
    {{- range .Values.networkPolicy.redisPorts }}
    - {protocol: TCP, port: {{ int . }}}
    {{- end }}
  {{- with .Values.networkPolicy.redisTo }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
{{- end }}

{{- define "berth.policy.admin" }}
# Probes come from the node itself, which a policy does not stop.
- from:
    - podSelector: {}
    {{- range .Values.networkPolicy.adminNamespaces }}
    - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: {{ . }}}}
    {{- end }}
    {{- with .Values.networkPolicy.adminFrom }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  ports: [{protocol: TCP, port: {{ int .Values.admin.port }}}]
{{- end }}

{{- define "berth.policy.devices" }}
- ports:
    {{- range $name, $l := .Values.listeners }}
    {{- if $l.enabled }}
    - {protocol: TCP, port: {{ int $l.port }}}
    {{- end }}
    {{- end }}
  {{- with .Values.networkPolicy.devicesFrom }}
  from:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
