// Metrics of the links, of the cluster, of stores and of files that no probe keeps, by their Prometheus names.
#pragma once

namespace berth::metrics {

inline constexpr const char kLinkRefused[] = "berth_link_refused_total";
inline constexpr const char kEdgesMissing[] = "berth_edges_missing";
inline constexpr const char kStandbyEngines[] = "berth_standby_engines";
inline constexpr const char kLinksWaiting[] = "berth_links_waiting";
inline constexpr const char kEngineLinks[] = "berth_engine_links";
inline constexpr const char kDegraded[] = "berth_degraded";
inline constexpr const char kStoreUnconfirmed[] = "berth_store_unconfirmed_seconds";

}  // namespace berth::metrics
