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
    {{- if $.Values.tests.enabled }}
    - podSelector:
        matchLabels:
          {{- include "berth.selector" (list $ "test") | nindent 10 }}
    {{- end }}
  {{- end }}
{{- end }}

{{- /* berth.policy.tracing (list . ROLE): the way to the collector of tracing.endpoint, http://HOST:PORT/PATH or https://, of this role's settings. A name
       may lead to any address, unless tracingTo says where. */ -}}
{{- define "berth.policy.tracing" }}
{{- $ := index . 0 }}
{{- $config := fromYaml (include "berth.config.given" (list $ (get $.Values (index . 1)).config)) }}
{{- $url := regexFind "^https?://[^/]+" (toString (dig "tracing" "endpoint" "" $config)) }}
{{- $to := $url | trimPrefix "https://" | trimPrefix "http://" }}
{{- if $to }}
{{- $port := regexFind ":[0-9]+$" $to }}
{{- $host := trimSuffix $port $to | trimPrefix "[" | trimSuffix "]" }}
- ports: [{protocol: TCP, port: {{ $port | trimPrefix ":" | default (ternary "443" "4318" (hasPrefix "https://" $url)) }}}]
  {{- if $.Values.networkPolicy.tracingTo }}
  to:
    {{- toYaml $.Values.networkPolicy.tracingTo | nindent 4 }}
  {{- else if regexMatch "^[0-9]+(\\.[0-9]+){3}$" $host }}
  to: [{ipBlock: {cidr: {{ $host }}/32}}]
  {{- else if contains ":" $host }}
  to: [{ipBlock: {cidr: "{{ $host }}/128"}}]
  {{- end }}
{{- end }}
{{- end }}
