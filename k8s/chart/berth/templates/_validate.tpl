{{- /* What the schema cannot say. Each message names the value. */ -}}
{{- define "berth.validate" -}}
{{- $v := .Values -}}
{{- $cluster := eq $v.profile "cluster" -}}
{{- $own := list "mqtt.listen" "mqtts.listen" "ws.listen" "wss.listen" "park.listen" "parks.listen"
      "mqtt.proxy_protocol" "mqtts.proxy_protocol" "ws.proxy_protocol" "wss.proxy_protocol" "park.proxy_protocol" "parks.proxy_protocol"
      "mqtts.cert_file" "mqtts.key_file" "mqtts.ca_file" "mqtts.crl_file" "mqtts.client_certificates" "mqtts.user_name" "mqtts.min_version" "mqtts.ticket_key_file"
      "auth.anonymous" "auth.password_file" "auth.acl_file" "admin.listen" "admin.token_file" "admin.allowed_hosts"
      "uplinks.file" "uplinks.files_dir" "store.directory" "store.url" "store.url_file" "store.redis_wait_replicas" "store.redis_lease_ms" "store.redis_timeout_ms"
      "store.redis_ca_file" "store.redis_cert_file" "store.redis_key_file"
      "cluster.listen" "cluster.engines" "cluster.partitions" "cluster.name" "cluster.handover" "cluster.handover_linger"
      "cluster.ca_file" "cluster.cert_file" "cluster.key_file" "cluster.peer_name" "cluster.insecure"
      "cluster.drain_per_s" "cluster.server_reference" "cluster.park_endpoint" "engine.memory_mb" "drain_seconds" "drain.linger_s" "admin.socket" -}}
{{- if $cluster -}}{{- $own = concat $own (list "mqtt.max_connections" "mqtt.accept_per_s" "shards") -}}{{- end -}}
{{- if $v.tracing.existingSecret -}}{{- $own = concat $own (list "tracing.headers_file" "tracing.ca_file") -}}{{- end -}}
{{- range $key := $own -}}
{{- $path := splitList "." $key -}}
{{- range $where, $config := dict "config" $v.config "single.config" $v.single.config "cluster.config" $v.cluster.config "edge.config" $v.edge.config "engine.config" $v.engine.config -}}
{{- $section := get $config (first $path) -}}
{{- if or (and (eq (len $path) 1) (hasKey $config $key)) (and (eq (len $path) 2) (kindIs "map" $section) (hasKey (ternary $section (dict) (kindIs "map" $section)) (last $path))) -}}
{{- fail (printf "%s.%s: the chart computes this setting from other values (docs/operations.md, Kubernetes)" $where $key) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" (include "berth.fullname" .)) -}}
{{- fail (printf "fullnameOverride: the release %s would make Services named %s, and their names begin with a letter: give another" .Release.Name (include "berth.fullname" .)) -}}
{{- end -}}
{{- $listening := 0 -}}{{- $ports := list (int $v.admin.port) -}}{{- $outside := list -}}
{{- if $cluster -}}{{- $ports = append $ports (int $v.cluster.linkPort) -}}{{- end -}}
{{- range $name, $l := $v.listeners -}}
{{- if $l.enabled -}}
{{- $listening = add $listening 1 -}}
{{- if has (int $l.port) $ports -}}{{- fail (printf "listeners.%s.port: %d is the port of something else" $name (int $l.port)) -}}{{- end -}}
{{- $ports = append $ports (int $l.port) -}}
{{- if has (int $l.servicePort) $outside -}}{{- fail (printf "listeners.%s.servicePort: %d is the port of another listener" $name (int $l.servicePort)) -}}{{- end -}}
{{- $outside = append $outside (int $l.servicePort) -}}
{{- if $l.nodePort -}}
{{- if has (printf "n%d" (int $l.nodePort)) $outside -}}{{- fail (printf "listeners.%s.nodePort: %d is the port of another listener" $name (int $l.nodePort)) -}}{{- end -}}
{{- $outside = append $outside (printf "n%d" (int $l.nodePort)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if not $listening -}}{{- fail "listeners: one of them must be enabled" -}}{{- end -}}
{{- if and (include "berth.usesTls" .) (not $v.tls.existingSecret) (not $v.tls.certManager.enabled) -}}
{{- fail "tls.existingSecret (or tls.certManager.enabled): the listeners mqtts, wss and parks need a certificate" -}}
{{- end -}}
{{- if and $v.tls.certManager.enabled (or (not $v.tls.certManager.issuerRef) (not $v.tls.certManager.dnsNames)) -}}
{{- fail "tls.certManager: issuerRef and dnsNames are needed" -}}
{{- end -}}
{{- if and (ne $v.tls.userName "connect") (eq $v.tls.clientCertificates "none") -}}
{{- fail "tls.userName: a name from the certificate needs tls.clientCertificates" -}}
{{- end -}}
{{- $redis := 0 -}}
{{- range list $v.redis.url $v.redis.existingSecret $v.redis.bundled.enabled -}}{{- if . -}}{{- $redis = add $redis 1 -}}{{- end -}}{{- end -}}
{{- if and $v.redis.bundled.existingSecret (not $v.redis.bundled.enabled) -}}
{{- fail "redis.bundled.existingSecret: redis.bundled.enabled is false; the Secret with the URL of a Redis of yours is redis.existingSecret" -}}
{{- end -}}
{{- if gt $redis 1 -}}{{- fail "redis: give one of url, existingSecret and bundled.enabled" -}}{{- end -}}
{{- if and $cluster (not $redis) -}}
{{- fail "redis.url, redis.existingSecret or redis.bundled.enabled: the engines of a cluster share one Redis" -}}
{{- end -}}
{{- if $cluster -}}
{{- with lookup "v1" "ConfigMap" .Release.Namespace (printf "%s-engine" (include "berth.fullname" .)) -}}
{{- $there := dig "cluster" "partitions" (int $v.cluster.partitions) (fromYaml (get (default dict .data) "berth.yaml")) -}}
{{- if ne (int $there) (int $v.cluster.partitions) -}}
{{- fail (printf "cluster.partitions: the release has %d, and sessions in Redis are divided so. With an empty Redis delete the ConfigMap %s first" (int $there) .metadata.name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and $cluster (eq $v.link.certificates "existing") (or (not $v.link.engineSecret) (not $v.link.edgeSecret)) -}}
{{- fail "link.engineSecret and link.edgeSecret: link.certificates existing needs both" -}}
{{- end -}}
{{- if and $cluster (eq $v.edge.kind "DaemonSet") -}}
{{- if not $v.edge.daemonSet.namespace -}}
{{- fail "edge.daemonSet.namespace: edges on the nodes' network need a namespace whose Pod Security level is privileged; name it" -}}
{{- end -}}
{{- if $v.edge.autoscaling.enabled -}}{{- fail "edge.autoscaling: a DaemonSet has one pod on each node" -}}{{- end -}}
{{- if and (include "berth.apart" .) (eq $v.link.certificates "certManager") (not $v.link.certManager.issuerRef) -}}
{{- fail "link.certManager.issuerRef: an Issuer signs in its own namespace only, and the edges have another: name a ClusterIssuer" -}}
{{- end -}}
{{- include "berth.validate.secrets" . -}}
{{- if and $v.edge.daemonSet.createNamespace (eq $v.edge.daemonSet.namespace .Release.Namespace) -}}
{{- fail "edge.daemonSet.createNamespace: the release's namespace exists already" -}}
{{- end -}}
{{- end -}}
{{- if and $cluster (gt (include "berth.drainSeconds" . | int) 3600) -}}
{{- fail "edge.drain: with maxConnections and perSecond a drain takes more than an hour: raise perSecond, or use more edges" -}}
{{- end -}}
{{- if and $cluster $v.edge.autoscaling.enabled (gt (int $v.edge.autoscaling.minReplicas) (int $v.edge.autoscaling.maxReplicas)) -}}
{{- fail "edge.autoscaling: minReplicas is more than maxReplicas" -}}
{{- end -}}
{{- if and (include "berth.edgeUnreached" .) $v.edge.autoscaling.enabled -}}
{{- fail "edge.autoscaling: edges with adminOn loopback have no metrics that a Prometheus could read" -}}
{{- end -}}
{{- if and $v.monitoring.podMonitor.enabled $v.monitoring.serviceMonitor.enabled -}}
{{- fail "monitoring: with podMonitor and serviceMonitor each process would be scraped twice" -}}
{{- end -}}
{{- if and (ne $v.service.type "LoadBalancer") $v.service.loadBalancerSourceRanges -}}
{{- fail "service.loadBalancerSourceRanges: only a Service of type LoadBalancer has them; use networkPolicy.devicesFrom" -}}
{{- end -}}
{{- end -}}

{{- /* Edges with a namespace of their own: YAML of [value, Secret, whether pods of the release's namespace mount it, whether those of the edges do]. */ -}}
{{- define "berth.secretPlaces" -}}
{{- $v := .Values -}}
{{- range $v.image.pullSecrets }}
- [image.pullSecrets, {{ . | quote }}, true, true]
{{- end }}
{{- with $v.admin.token.existingSecret }}
- [admin.token.existingSecret, {{ . | quote }}, true, true]
{{- end }}
{{- if include "berth.usesTls" . }}
{{- with $v.tls.existingSecret }}
- [tls.existingSecret, {{ . | quote }}, false, true]
{{- end }}
{{- with $v.tls.ticketKey.existingSecret }}
- [tls.ticketKey.existingSecret, {{ . | quote }}, false, true]
{{- end }}
{{- end }}
{{- range $name, $secret := dict "auth.passwords.existingSecret" $v.auth.passwords.existingSecret "auth.acl.existingSecret" $v.auth.acl.existingSecret "uplinks.existingSecret" $v.uplinks.existingSecret "redis.existingSecret" $v.redis.existingSecret "redis.bundled.existingSecret" $v.redis.bundled.existingSecret "redis.tls.existingSecret" $v.redis.tls.existingSecret }}
{{- with $secret }}
- [{{ $name }}, {{ . | quote }}, true, false]
{{- end }}
{{- end }}
{{- with $v.tracing.existingSecret }}
- [tracing.existingSecret, {{ . | quote }}, true, true]
{{- end }}
{{- if eq $v.link.certificates "existing" }}
- [link.engineSecret, {{ $v.link.engineSecret | quote }}, true, false]
- [link.edgeSecret, {{ $v.link.edgeSecret | quote }}, false, true]
{{- end }}
{{- end -}}

{{- /* A Secret that is in one of the two namespaces and not where pods mount it would keep them from starting. Where Helm sees no cluster,
       nothing is found and nothing refused. */ -}}
{{- define "berth.validate.secrets" -}}
{{- if and (include "berth.apart" .) (or .Release.IsUpgrade (not .Values.edge.daemonSet.createNamespace)) -}}
{{- $here := .Release.Namespace -}}{{- $there := .Values.edge.daemonSet.namespace -}}
{{- range $p := fromYamlArray (include "berth.secretPlaces" .) -}}
{{- $name := index $p 1 -}}
{{- if and (index $p 3) (not (lookup "v1" "Secret" $there $name)) (lookup "v1" "Secret" $here $name) -}}
{{- fail (printf "%s: the Secret %s is in namespace %s, and pods of edges mount it in %s: make it there too" (index $p 0) $name $here $there) -}}
{{- end -}}
{{- if and (index $p 2) (not (lookup "v1" "Secret" $here $name)) (lookup "v1" "Secret" $there $name) -}}
{{- fail (printf "%s: the Secret %s is in namespace %s, and pods mount it in %s: make it there too" (index $p 0) $name $there $here) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
