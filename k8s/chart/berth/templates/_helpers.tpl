{{- define "berth.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- /* 40 characters leave room for -engine-headless and the hash of a pod. */ -}}
{{- define "berth.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "berth.name" . -}}
{{- ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) | replace "." "-" | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "berth.serviceAccountName" -}}
{{- default (ternary (include "berth.fullname" .) "default" .Values.serviceAccount.create) .Values.serviceAccount.name -}}
{{- end -}}

{{- /* berth.image (list . "edge"): edges may stay at an image of their own while engines are upgraded. */ -}}
{{- define "berth.image" -}}
{{- $i := (index . 0).Values.image -}}
{{- $own := (index . 0).Values.edge.image -}}
{{- if and (eq (index . 1) "edge") (or $own.tag $own.digest) -}}{{- $i = dict "repository" $i.repository "tag" $own.tag "digest" $own.digest -}}{{- end -}}
{{- if $i.digest -}}{{ $i.repository }}@{{ $i.digest }}{{- else -}}{{ $i.repository }}:{{ default (index . 0).Chart.AppVersion $i.tag }}{{- end -}}
{{- end -}}

{{- /* berth.selector (list . "edge"): what a selector may contain: it must not change in the life of an object. */ -}}
{{- define "berth.selector" -}}
{{- $ := index . 0 -}}
app.kubernetes.io/name: {{ include "berth.name" $ }}
app.kubernetes.io/instance: {{ $.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{- /* berth.labels (list . "edge" FURTHER…): further labels count more than commonLabels. */ -}}
{{- define "berth.labels" -}}
{{- $ := index . 0 -}}
{{- $more := deepCopy $.Values.commonLabels -}}
{{- range slice . 2 -}}{{- $more = mergeOverwrite $more . -}}{{- end -}}
{{ include "berth.selector" . }}
app.kubernetes.io/version: {{ $.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: berth
app.kubernetes.io/managed-by: {{ $.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $.Chart.Name $.Chart.Version | replace "+" "_" }}
{{- with $more }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- /* Edges on the nodes' network live in a namespace of their own, whose Pod Security level is privileged. */ -}}
{{- define "berth.isDaemonSet" -}}
{{- if and (eq .Values.profile "cluster") (eq .Values.edge.kind "DaemonSet") -}}true{{- end -}}
{{- end -}}
{{- define "berth.edgeNamespace" -}}
{{- if include "berth.isDaemonSet" . -}}{{ .Values.edge.daemonSet.namespace }}{{- else -}}{{ .Release.Namespace }}{{- end -}}
{{- end -}}
{{- define "berth.apart" -}}
{{- if and (include "berth.isDaemonSet" .) (ne .Values.edge.daemonSet.namespace .Release.Namespace) -}}true{{- end -}}
{{- end -}}

{{- define "berth.anyHost" -}}
{{- if or (ne .Values.service.ipFamilyPolicy "SingleStack") (has "IPv6" .Values.service.ipFamilies) -}}[::]{{- else -}}0.0.0.0{{- end -}}
{{- end -}}

{{- define "berth.usesRedis" -}}
{{- if or (eq .Values.profile "cluster") .Values.redis.url .Values.redis.existingSecret .Values.redis.bundled.enabled -}}true{{- end -}}
{{- end -}}

{{- define "berth.usesTls" -}}
{{- $l := .Values.listeners -}}
{{- if or $l.mqtts.enabled $l.wss.enabled $l.parks.enabled -}}true{{- end -}}
{{- end -}}

{{- define "berth.tokenSecret" -}}{{ default (printf "%s-admin" (include "berth.fullname" .)) .Values.admin.token.existingSecret }}{{- end -}}
{{- define "berth.ticketSecret" -}}{{ default (printf "%s-ticket" (include "berth.fullname" .)) .Values.tls.ticketKey.existingSecret }}{{- end -}}
{{- define "berth.tlsSecret" -}}{{ default (printf "%s-tls" (include "berth.fullname" .)) .Values.tls.existingSecret }}{{- end -}}
{{- define "berth.storeSecret" -}}{{ default (printf "%s-%s" (include "berth.fullname" .) (ternary "redis" "store" .Values.redis.bundled.enabled)) (default .Values.redis.existingSecret (ternary .Values.redis.bundled.existingSecret "" .Values.redis.bundled.enabled)) }}{{- end -}}
{{- define "berth.storeKey" -}}{{ ternary .Values.redis.key "url" (ne .Values.redis.existingSecret "") }}{{- end -}}
{{- define "berth.linkSecret" -}}
{{- $ := index . 0 -}}{{- $role := index . 1 -}}
{{- if eq $.Values.link.certificates "existing" -}}{{ get $.Values.link (printf "%sSecret" $role) }}{{- else -}}{{ include "berth.fullname" $ }}-{{ $role }}-link{{- end -}}
{{- end -}}

{{- /* How long an edge needs to close all its connections, in seconds. */ -}}
{{- define "berth.drainTime" -}}
{{- divf .Values.edge.maxConnections .Values.edge.drain.perSecond | ceil | int -}}
{{- end -}}
{{- /* drain_seconds: the other edges may let in fewer than perSecond for a while. */ -}}
{{- define "berth.drainSeconds" -}}
{{- if .Values.edge.drain.seconds -}}{{ int .Values.edge.drain.seconds }}{{- else -}}{{ add (include "berth.drainTime" . | int) 20 }}{{- end -}}
{{- end -}}
{{- /* preStop waits until the edge is drained, which takes no longer; the rest is for SIGTERM. */ -}}
{{- define "berth.preStopSeconds" -}}
{{- add (int .Values.edge.drain.lingerSeconds) (include "berth.drainSeconds" . | int) 5 -}}
{{- end -}}
{{- define "berth.edgeGrace" -}}
{{- add (include "berth.preStopSeconds" . | int) 10 -}}
{{- end -}}
{{- /* Probes of two seconds. A DaemonSet's new pod waits until the old one has closed its connections with TLS, for which that has
       drain_seconds. */ -}}
{{- define "berth.edgeStartFailures" -}}
{{- if include "berth.isDaemonSet" . -}}{{ max 150 (add 60 (div (include "berth.drainSeconds" . | int) 2)) }}{{- else -}}150{{- end -}}
{{- end -}}
{{- /* The next edge begins to drain when the one before it has ended. A DaemonSet's old pod needs the time to close the
       connections with TLS, which it can't hand over. */ -}}
{{- define "berth.edgeMinReady" -}}
{{- if .Values.edge.minReadySeconds -}}{{ int .Values.edge.minReadySeconds }}{{- else -}}{{ add (int .Values.edge.drain.lingerSeconds) (include "berth.drainTime" . | int) 5 }}{{- end -}}
{{- end -}}
{{- /* An engine gives up its partitions one after the other: a successor reads (5 s), edges out of reach (10 s). */ -}}
{{- define "berth.engineGrace" -}}
{{- add (int .Values.engine.drainSeconds) 15 (mul 15 (min 4 (int .Values.cluster.partitions))) -}}
{{- end -}}

{{- /* Names by which the API may be called, of the Service NAME in NAMESPACE. */ -}}
{{- define "berth.serviceNames" -}}
{{- $name := index . 0 -}}{{- $ns := index . 1 -}}
{{ $name }},{{ $name }}.{{ $ns }},{{ $name }}.{{ $ns }}.svc,{{ $name }}.{{ $ns }}.svc.cluster.local
{{- end -}}

{{- define "berth.engines" -}}
{{- $name := printf "%s-engine" (include "berth.fullname" .) -}}
{{- if include "berth.apart" . -}}{{ $name }}.{{ .Release.Namespace }}.svc{{- else -}}{{ $name }}{{- end -}}:{{ int .Values.cluster.linkPort }}
{{- end -}}

{{- define "berth.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end -}}
{{- define "berth.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{- /* berth.checksum (list . ROLE CONFIG): of the settings that pods of this role read at their start only. What they take from the changed
       file (log.level) replaces no pod, and settings of engines no edge. files/settings.json says how each takes effect. */ -}}
{{- define "berth.checksum" -}}
{{- $ := index . 0 -}}{{- $role := index . 1 -}}
{{- $config := fromYaml (index . 2) -}}
{{- range $key, $how := fromJson ($.Files.Get "files/settings.json") -}}
{{- if or (eq $how "reload") (and (eq $how "engine") (eq $role "edge")) -}}
{{- $section := get $config (first (splitList "." $key)) -}}
{{- if not (contains "." $key) -}}{{- $_ := unset $config $key -}}
{{- else if kindIs "map" $section -}}{{- $_ := unset $section (last (splitList "." $key)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $name, $section := deepCopy $config -}}
{{- if and (kindIs "map" $section) (not $section) -}}{{- $_ := unset $config $name -}}{{- end -}}
{{- end -}}
{{- toYaml $config | sha256sum | trunc 32 -}}
{{- end -}}

{{- /* berth.podMeta (list . "edge" CONFIG): the rollout begins when this role's configuration or image has changed, and not when
       the version of the chart has: pods have no label of it. */ -}}
{{- define "berth.podMeta" -}}
{{- $ := index . 0 -}}
labels:
  {{- include "berth.selector" (list $ (index . 1)) | nindent 2 }}
  app.kubernetes.io/part-of: berth
  {{- with $.Values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
annotations:
  checksum/config: {{ include "berth.checksum" . | quote }}
  {{- $more := dict }}
  {{- if and $.Values.monitoring.annotations (not $.Values.monitoring.podMonitor.enabled) (not $.Values.monitoring.serviceMonitor.enabled) (not (and (eq (index . 1) "edge") (include "berth.edgeUnreached" $))) }}
  {{- $more = dict "prometheus.io/scrape" "true" "prometheus.io/port" (toString (int $.Values.admin.port)) "prometheus.io/path" "/metrics" }}
  {{- end }}
  {{- with mergeOverwrite $more (deepCopy $.Values.podAnnotations) }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{- /* berth.spread (list . "edge" LIST) */ -}}
{{- define "berth.spread" -}}
{{- $ := index . 0 -}}{{- $role := index . 1 -}}
{{- with index . 2 -}}
{{ toYaml . }}
{{- else -}}
{{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
- maxSkew: 1
  topologyKey: {{ . }}
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels:
      {{- include "berth.selector" (list $ $role) | nindent 6 }}
  {{- if semverCompare ">=1.27-0" $.Capabilities.KubeVersion.Version }}
  matchLabelKeys: [pod-template-hash]
  {{- end }}
{{- end }}
{{- end -}}
{{- end -}}

{{- /* berth.placement (list . VALUES_OF_THE_ROLE) */ -}}
{{- define "berth.placement" -}}
{{- $ := index . 0 -}}
{{- $v := index . 1 -}}
serviceAccountName: {{ include "berth.serviceAccountName" $ }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with $.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with $v.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $v.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $v.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $v.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end -}}

{{- /* Where an edge's admin port listens: edge.daemonSet.adminHost or edge.adminOn. */ -}}
{{- define "berth.edgeAdminHost" -}}
{{- $on := .Values.edge.adminOn -}}
{{- if include "berth.isDaemonSet" . -}}{{ .Values.edge.daemonSet.adminHost }}
{{- else if eq $on "loopback" -}}127.0.0.1
{{- else if ne $on "pod" -}}{{ include "berth.anyHost" . }}
{{- else if eq (first (append .Values.service.ipFamilies "IPv4")) "IPv6" -}}[$(POD_ADDRESS)]
{{- else -}}$(POD_ADDRESS)
{{- end -}}
{{- end -}}
{{- /* Nothing of the network reaches the admin port of an edge: no scrape, no probe by HTTP, no Service. */ -}}
{{- define "berth.edgeUnreached" -}}
{{- if and (eq .Values.profile "cluster") (not (include "berth.isDaemonSet" .)) (eq .Values.edge.adminOn "loopback") -}}true{{- end -}}
{{- end -}}

{{- /* berth.probe (list . "readyz" NAMED_PORT): httpGet */ -}}
{{- define "berth.probe" -}}
{{- $ := index . 0 -}}
httpGet: {path: /{{ index . 1 }}, port: {{ ternary "admin" (int $.Values.admin.port) (index . 2) }}}
{{- end -}}

{{- /* berth.edgeProbe (list . "readyz" "ready"): httpGet, or on a node's network and on loopback the same by berth ctl, of the process itself. */ -}}
{{- define "berth.edgeProbe" -}}
{{- $ := index . 0 -}}
{{- if or (include "berth.isDaemonSet" $) (include "berth.edgeUnreached" $) -}}
exec: {command: [berth, ctl, --timeout, "4", {{ index . 2 }}]}
{{- else -}}
{{- include "berth.probe" (list $ (index . 1) true) -}}
{{- end -}}
{{- end -}}

{{- define "berth.devicePorts" -}}
{{- range $name, $l := .Values.listeners }}
{{- if $l.enabled }}
- {name: {{ $name }}, containerPort: {{ int $l.port }}}
{{- end }}
{{- end }}
{{- end -}}

{{- /* Volumes and mounts that several roles have. berth.volumes (list . ROLE) with ROLE serve, edge or engine. */ -}}
{{- define "berth.volumes" -}}
{{- $ := index . 0 -}}{{- $role := index . 1 -}}
{{- $v := $.Values -}}
- name: config
  configMap: {name: {{ include "berth.fullname" $ }}-{{ $role }}}
- name: auth
  projected:
    defaultMode: 0440
    sources:
      - secret: {name: {{ include "berth.tokenSecret" $ }}, items: [{key: {{ $v.admin.token.key }}, path: admin-token}]}
      {{- if ne $role "edge" }}
      {{- with $v.auth.passwords.existingSecret }}
      - secret: {name: {{ . }}, items: [{key: {{ $v.auth.passwords.key }}, path: passwords}]}
      {{- end }}
      {{- with $v.auth.acl.existingSecret }}
      - secret: {name: {{ . }}, items: [{key: {{ $v.auth.acl.key }}, path: acl}]}
      {{- end }}
      {{- end }}
- name: tmp
  emptyDir: {sizeLimit: 64Mi}
{{- if and (ne $role "engine") (include "berth.usesTls" $) }}
- name: tls
  secret: {secretName: {{ include "berth.tlsSecret" $ }}, defaultMode: 0440}
- name: ticket
  secret: {secretName: {{ include "berth.ticketSecret" $ }}, defaultMode: 0440, items: [{key: {{ $v.tls.ticketKey.key }}, path: ticket.key}]}
{{- end }}
{{- with $v.tracing.existingSecret }}
- name: tracing
  secret: {secretName: {{ . }}, defaultMode: 0440}
{{- end }}
{{- if ne $role "edge" }}
{{- with $v.uplinks.existingSecret }}
- name: uplinks
  secret: {secretName: {{ . }}, defaultMode: 0440}
{{- end }}
{{- end }}
{{- if and (ne $role "edge") (include "berth.usesRedis" $) }}
- name: store
  secret: {secretName: {{ include "berth.storeSecret" $ }}, defaultMode: 0440, items: [{key: {{ include "berth.storeKey" $ }}, path: url}]}
{{- with $v.redis.tls.existingSecret }}
- name: store-tls
  secret: {secretName: {{ . }}, defaultMode: 0440}
{{- end }}
{{- end }}
{{- if ne $role "serve" }}
- name: link
  secret: {secretName: {{ include "berth.linkSecret" (list $ $role) }}, defaultMode: 0440}
{{- end }}
{{- if or (ne $role "serve") (include "berth.usesRedis" $) }}
- name: data               # store.directory: last good copies of files
  emptyDir: {sizeLimit: 64Mi}
{{- end }}
{{- end -}}

{{- define "berth.mounts" -}}
{{- $ := index . 0 -}}{{- $role := index . 1 -}}
- {name: config, mountPath: /etc/berth, readOnly: true}
- {name: auth, mountPath: /etc/berth-auth, readOnly: true}
- {name: tmp, mountPath: /tmp}
- {name: data, mountPath: /data}
{{- if and (ne $role "engine") (include "berth.usesTls" $) }}
- {name: tls, mountPath: /etc/berth-tls, readOnly: true}
- {name: ticket, mountPath: /etc/berth-ticket, readOnly: true}
{{- end }}
{{- if $.Values.tracing.existingSecret }}
- {name: tracing, mountPath: /etc/berth-tracing, readOnly: true}
{{- end }}
{{- if and (ne $role "edge") $.Values.uplinks.existingSecret }}
- {name: uplinks, mountPath: /etc/berth-uplinks, readOnly: true}
{{- end }}
{{- if and (ne $role "edge") (include "berth.usesRedis" $) }}
- {name: store, mountPath: /etc/berth-store, readOnly: true}
{{- if $.Values.redis.tls.existingSecret }}
- {name: store-tls, mountPath: /etc/berth-store-tls, readOnly: true}
{{- end }}
{{- end }}
{{- if ne $role "serve" }}
- {name: link, mountPath: /etc/berth-link, readOnly: true}
{{- end }}
{{- end -}}

{{- /* The image has variables for these three settings, which override the file: here they have the file's values. */ -}}
{{- define "berth.env" -}}
{{- $ := index . 0 -}}{{- $v := index . 1 -}}{{- $host := index . 2 -}}
- name: BERTH_MQTT_LISTEN
  value: {{ ternary (printf "%s:%d" (include "berth.anyHost" $) (int $.Values.listeners.mqtt.port)) "" $.Values.listeners.mqtt.enabled | quote }}
- name: BERTH_ADMIN_LISTEN
  value: {{ printf "%s:%d" $host (int $.Values.admin.port) | quote }}
- name: BERTH_LOG_FORMAT
  value: {{ dig "log" "format" "ecs" (include "berth.config.given" (list $ $v.config) | fromYaml) | default "ecs" | quote }}
{{- with $v.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}
