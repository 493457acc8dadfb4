{{- /* The files of settings. What is computed here counts more than config and ROLE.config; a key that is computed is
       refused there (_validate.tpl). */ -}}

{{- define "berth.config.listeners" -}}
{{- range $name, $l := .Values.listeners }}
{{ $name }}:
  listen: {{ ternary (printf "%s:%d" (include "berth.anyHost" $) (int $l.port)) "" $l.enabled | quote }}
  proxy_protocol: {{ $l.proxyProtocol }}
{{- end }}
{{- end -}}

{{- define "berth.config.tls" -}}
{{- if include "berth.usesTls" . }}
mqtts:
  cert_file: /etc/berth-tls/tls.crt
  key_file: /etc/berth-tls/tls.key
  client_certificates: {{ .Values.tls.clientCertificates }}
  user_name: {{ .Values.tls.userName }}
  min_version: {{ .Values.tls.minVersion | quote }}
  ticket_key_file: /etc/berth-ticket/ticket.key
  {{- if ne .Values.tls.clientCertificates "none" }}
  ca_file: /etc/berth-tls/ca.crt
  {{- if .Values.tls.crl }}
  crl_file: /etc/berth-tls/crl.pem
  {{- end }}
  {{- end }}
{{- end }}
{{- end -}}

{{- define "berth.config.auth" -}}
auth:
  anonymous: {{ .Values.auth.anonymous }}
  {{- if .Values.auth.passwords.existingSecret }}
  password_file: /etc/berth-auth/passwords
  {{- end }}
  {{- if .Values.auth.acl.existingSecret }}
  acl_file: /etc/berth-auth/acl
  {{- end }}
{{- end -}}

{{- define "berth.config.uplinks" -}}
{{- if .Values.uplinks.existingSecret }}
uplinks:
  file: /etc/berth-uplinks/uplinks.yaml
  files_dir: /etc/berth-uplinks
{{- end }}
{{- end -}}

{{- define "berth.config.tracing" -}}
{{- if .Values.tracing.existingSecret }}
tracing:
  headers_file: /etc/berth-tracing/headers
  {{- if .Values.tracing.ca }}
  ca_file: /etc/berth-tracing/ca.crt
  {{- end }}
{{- end }}
{{- end -}}

{{- define "berth.config.store" -}}
store:
  directory: /data
  {{- if include "berth.usesRedis" . }}
  url_file: /etc/berth-store/url
  redis_wait_replicas: {{ ternary 0 (int .Values.redis.waitReplicas) .Values.redis.bundled.enabled }}
  redis_lease_ms: {{ int .Values.redis.leaseMs }}
  redis_timeout_ms: {{ int .Values.redis.timeoutMs }}
  {{- if .Values.redis.tls.existingSecret }}
  redis_ca_file: /etc/berth-store-tls/ca.crt
  {{- if .Values.redis.tls.clientCertificate }}
  redis_cert_file: /etc/berth-store-tls/tls.crt
  redis_key_file: /etc/berth-store-tls/tls.key
  {{- end }}
  {{- end }}
  {{- end }}
{{- end -}}

{{- define "berth.config.link" -}}
cluster:
  engines: {{ include "berth.engines" . }}
  partitions: {{ int .Values.cluster.partitions }}
  ca_file: /etc/berth-link/ca.crt
  cert_file: /etc/berth-link/tls.crt
  key_file: /etc/berth-link/tls.key
{{- end -}}

{{- /* berth.config.admin (list . SERVICE NAMESPACE NAME…): further names at the end. */ -}}
{{- define "berth.config.admin" -}}
{{- $ := index . 0 -}}
{{- $names := list (include "berth.serviceNames" (list (index . 1) (index . 2))) -}}
{{- range slice . 3 }}{{- $names = append $names . }}{{- end -}}
{{- range $.Values.admin.allowedHosts }}{{- $names = append $names . }}{{- end -}}
admin:
  listen: {{ printf "%s:%d" (include "berth.anyHost" $) (int $.Values.admin.port) | quote }}
  token_file: /etc/berth-auth/admin-token
  allowed_hosts: {{ join "," $names }}
{{- end -}}

{{- /* berth.config.given (list . CONFIG_OF_ROLE): settings of the values for a role. */ -}}
{{- define "berth.config.given" -}}
{{- $ := index . 0 -}}
{{- $all := mergeOverwrite (dict) (deepCopy $.Values.config) -}}
{{- if eq $.Values.profile "cluster" }}{{- $all = mergeOverwrite $all (deepCopy $.Values.cluster.config) -}}{{- end -}}
{{- toYaml (mergeOverwrite $all (deepCopy (index . 1))) -}}
{{- end -}}

{{- /* The bundled Redis is small: history, records of commands, retained messages and queues of uplinks get an eighth of its memory each, of all
       partitions together. Settings of the values count more. Redis holds more than the bytes that the gateway counts: the rest
       of the memory is for that, and for sessions and their queues. */ -}}
{{- define "berth.config.bundled" -}}
{{- if .Values.redis.bundled.enabled }}
{{- $parts := ternary (int .Values.cluster.partitions) 1 (eq .Values.profile "cluster") }}
{{- $bytes := max 1048576 (div (mul 131072 (int .Values.redis.bundled.maxMemoryMb)) $parts) }}
history: {max_bytes: {{ min 1073741824 $bytes }}}
commands: {keep_bytes: {{ min 4294967296 $bytes }}}
retained: {max_bytes: {{ min 1073741824 $bytes }}}
uplinks: {max_bytes: {{ min 4294967296 $bytes }}}
{{- end }}
{{- end -}}

{{- /* berth.config.merge (list . ROLE YAML…), with ROLE single, edge or engine: settings of the values, then the texts of YAML. */ -}}
{{- define "berth.config.merge" -}}
{{- $ := index . 0 -}}{{- $role := index . 1 -}}
{{- $all := dict -}}
{{- if ne $role "edge" -}}{{- $all = fromYaml (include "berth.config.bundled" $) -}}{{- end -}}
{{- $all = mergeOverwrite $all (fromYaml (include "berth.config.given" (list $ (get $.Values $role).config))) -}}
{{- range slice . 2 -}}{{- $all = mergeOverwrite $all (fromYaml .) -}}{{- end -}}
# Made by the chart. See config/berth.yaml for every key.
{{ toYaml $all }}
{{- end -}}

{{- define "berth.config.serve" -}}
{{- $name := include "berth.fullname" . -}}
{{- include "berth.config.merge" (list . "single"
      (include "berth.config.listeners" .) (include "berth.config.tls" .) (include "berth.config.auth" .) (include "berth.config.uplinks" .) (include "berth.config.tracing" .) (include "berth.config.store" .)
      (include "berth.config.admin" (list . (printf "%s-admin" $name) .Release.Namespace (include "berth.serviceNames" (list (printf "%s-headless" $name) .Release.Namespace))))
      (printf "engine: {memory_mb: %d}\ndrain_seconds: %d" (int .Values.single.memoryMb) (int .Values.single.drainSeconds))) -}}
{{- end -}}

{{- define "berth.config.edge" -}}
{{- $e := .Values.edge -}}
{{- include "berth.config.merge" (list . "edge"
      (include "berth.config.listeners" .) (include "berth.config.tls" .) (include "berth.config.tracing" .) (include "berth.config.link" .)
      (include "berth.config.admin" (list . (printf "%s-edge" (include "berth.fullname" .)) (include "berth.edgeNamespace" .)))
      (printf "store: {directory: /data}\nshards: %d\ndrain_seconds: %s\ndrain: {linger_s: %d}" (int $e.shards) (include "berth.drainSeconds" .)
         (int $e.drain.lingerSeconds))
      (printf "mqtt: {max_connections: %d, accept_per_s: %d}" (int $e.maxConnections) (int $e.acceptPerSecond))
      (printf "cluster: {peer_name: berth-engine, drain_per_s: %d, server_reference: %q, park_endpoint: %q}"
         (int $e.drain.perSecond) $e.drain.serverReference $e.drain.parkEndpoint)) -}}
{{- end -}}

{{- define "berth.config.engine" -}}
{{- $name := include "berth.fullname" . -}}
{{- include "berth.config.merge" (list . "engine"
      (include "berth.config.auth" .) (include "berth.config.uplinks" .) (include "berth.config.tracing" .) (include "berth.config.store" .) (include "berth.config.link" .)
      (include "berth.config.admin" (list . (printf "%s-admin" $name) .Release.Namespace
         (include "berth.serviceNames" (list (printf "%s-engine" $name) .Release.Namespace))))
      (printf "cluster: {listen: %q, peer_name: 'berth-edge,berth-engine'}\ndrain_seconds: %d"
         (printf "%s:%d" (include "berth.anyHost" .) (int .Values.cluster.linkPort)) (int .Values.engine.drainSeconds))
      (include "berth.config.userName" .)) -}}
{{- end -}}

{{- /* With names from certificates the user is a part of a session's key: engines need the setting. */ -}}
{{- define "berth.config.userName" -}}
{{- if and (include "berth.usesTls" .) (ne .Values.tls.userName "connect") }}
mqtts: {user_name: {{ .Values.tls.userName }}}
{{- end }}
{{- end -}}
