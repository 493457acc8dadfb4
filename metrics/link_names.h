// Metrics of links, cluster, stores and files that no probe keeps, by their Prometheus names.
#pragma once

namespace berth::metrics {

inline constexpr const char kLinkRefused[] = "berth_link_refused_total";
inline constexpr const char kEdgesMissing[] = "berth_edges_missing";
inline constexpr const char kStandbyEngines[] = "berth_standby_engines";
inline constexpr const char kLinksWaiting[] = "berth_links_waiting";
inline constexpr const char kEngineLinks[] = "berth_engine_links";
inline constexpr const char kDegraded[] = "berth_degraded";
inline constexpr const char kStoreUnconfirmed[] = "berth_store_unconfirmed_seconds";
inline constexpr const char kConfigHash[] = "berth_config_hash";
inline constexpr const char kConfigSince[] = "berth_config_in_force_timestamp_seconds";
inline constexpr const char kConfigLook[] = "berth_config_last_look_timestamp_seconds";
inline constexpr const char kConfigRefused[] = "berth_config_refused";
inline constexpr const char kConfigPending[] = "berth_config_pending_keys";
// Of tracing (gateway/tracing), by role of the process.
inline constexpr const char kSpansExported[] = "berth_trace_spans_exported_total";
inline constexpr const char kSpansDropped[] = "berth_trace_spans_dropped_total";
inline constexpr const char kTraceExportFailures[] = "berth_trace_export_failures_total";
// Not exported as such: an exemplar of berth_command_seconds. The label's value is the trace id and
// the Unix time in ms, with a space between them; the value is the time that the command took.
inline constexpr const char kCommandExemplar[] = "command_exemplar";
// Of each process (metrics/process.cc).
inline constexpr const char kMemoryLimit[] = "berth_memory_limit_bytes";
inline constexpr const char kConfigReloads[] = "berth_config_reloads_total";

}  // namespace berth::metrics
