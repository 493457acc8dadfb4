// Every counter, gauge and histogram that hot code keeps, with the Prometheus name it is exported
// under. One line each: X(field, family, label, label value, help), of a histogram X(field, family,
// help). Families with several lines share help. A field in milliseconds is named so (`…_ms`) and
// exported in seconds.
#pragma once

namespace berth::metrics {
// Of every certificate that is in use, by name (link, link_ca, mqtts, …); not a probe's.
inline constexpr const char kCertificateExpiry[] = "berth_certificate_expiry_timestamp_seconds";
inline constexpr const char kReady[] = "berth_ready";
// Password and ACL files in whose place the last good copy, or nothing, is in use.
inline constexpr const char kFilesReplaced[] = "berth_files_replaced_by_copy";
}  // namespace berth::metrics

// clang-format off

#define BERTH_ENGINE_COUNTERS(X) \
  X(rx_qos0, "berth_messages_received_total", "qos", "0", "PUBLISH packets received from devices") \
  X(rx_qos1, "berth_messages_received_total", "qos", "1", "") \
  X(rx_qos2, "berth_messages_received_total", "qos", "2", "") \
  X(tx_qos0, "berth_messages_sent_total", "qos", "0", "PUBLISH packets handed to the edge") \
  X(tx_qos1, "berth_messages_sent_total", "qos", "1", "") \
  X(tx_qos2, "berth_messages_sent_total", "qos", "2", "") \
  X(tx_resent, "berth_messages_resent_total", "", "", \
    "PUBLISH or PUBREL sent again with DUP after a reconnect") \
  X(acked, "berth_messages_acked_total", "", "", "Deliveries finished by the device") \
  X(queued, "berth_messages_queued_total", "", "", "Messages put into a session's stored queue") \
  X(replaced, "berth_messages_replaced_total", "result", "replaced", \
    "Queued messages for which a newer one of their slot came, and those that had to stay: too many slots") \
  X(slots_forgotten, "berth_messages_replaced_total", "result", "kept", "") \
  X(drop_no_subscribers, "berth_messages_dropped_total", "reason", "no_subscribers", \
    "Messages not delivered, by cause") \
  X(drop_queue_full, "berth_messages_dropped_total", "reason", "queue_full", "") \
  X(drop_slow_qos0, "berth_messages_dropped_total", "reason", "slow_consumer_qos0", "") \
  X(drop_expired, "berth_messages_dropped_total", "reason", "expired", "") \
  X(drop_too_large, "berth_messages_dropped_total", "reason", "too_large", "") \
  X(drop_not_authorized, "berth_messages_dropped_total", "reason", "not_authorized", "") \
  X(drop_quota, "berth_messages_dropped_total", "reason", "quota", "") \
  X(drop_malformed_report, "berth_messages_dropped_total", "reason", "malformed_report", "") \
  X(drop_command_refused, "berth_messages_dropped_total", "reason", "command_refused", "") \
  X(quota_slowed, "berth_messages_slowed_total", "", "", "Messages that waited for a tenant's quota") \
  X(drop_deadline, "berth_messages_dropped_total", "reason", "deadline", "") \
  X(drop_retained_full, "berth_messages_dropped_total", "reason", "retained_full", "") \
  X(walks_cut, "berth_messages_dropped_total", "reason", "too_many_filters", "") \
  X(retained_expired, "berth_retained_expired_total", "", "", \
    "Retained messages removed because their expiry had passed") \
  X(clock_forward, "berth_clock_jumps_total", "direction", "forward", \
    "Times the wall clock was set, or was found to have been set while no engine ran, by half a second or more") \
  X(clock_back, "berth_clock_jumps_total", "direction", "back", "") \
  X(shared_returned, "berth_shared_messages_returned_total", "result", "handed_on", \
    "Messages of ended members of shared subscriptions, by what became of them") \
  X(shared_no_member, "berth_shared_messages_returned_total", "result", "no_member", "") \
  X(shared_sent_qos2, "berth_shared_messages_returned_total", "result", "sent_qos2", "") \
  X(shared_skipped, "berth_shared_messages_returned_total", "result", "killed_engines", "") \
  X(translated, "berth_messages_translated_total", "result", "envelope", \
    "Messages of MQTT devices that became Envelopes, and those that did so as they came") \
  X(translated_json, "berth_messages_translated_total", "result", "json", "") \
  X(untranslated, "berth_messages_translated_total", "result", "raw", "") \
  X(connect_ok, "berth_connection_attempts_total", "outcome", "succeeded", "CONNECTs, by outcome") \
  X(connect_unauthorized, "berth_connection_attempts_total", "outcome", "unauthorized", "") \
  X(connect_throttled, "berth_connection_attempts_total", "outcome", "throttled", "") \
  X(connect_protocol_error, "berth_connection_attempts_total", "outcome", "protocol_error", "") \
  X(connect_unavailable, "berth_connection_attempts_total", "outcome", "unavailable", "") \
  X(connect_quota, "berth_connection_attempts_total", "outcome", "quota_exceeded", "") \
  X(connect_banned, "berth_connection_attempts_total", "outcome", "quarantined", "") \
  X(session_created, "berth_sessions_created_total", "", "", "Sessions begun") \
  X(session_resumed, "berth_sessions_resumed_total", "result", "resumed", \
    "CONNECTs and re-attaches that found their session") \
  X(session_reattached, "berth_sessions_resumed_total", "result", "reattached", "") \
  X(session_lost, "berth_sessions_resumed_total", "result", "lost", "") \
  X(access_files_refused, "berth_access_files_refused_total", "", "", \
    "Times a changed auth.acl_file or auth.password_file was bad, and the one before stayed") \
  X(rights_ended, "berth_rights_reviewed_total", "result", "disconnected", \
    "Connections ended because their user or credential has gone; subscriptions that are not allowed any more") \
  X(rights_dropped, "berth_rights_reviewed_total", "result", "unsubscribed", "") \
  X(scopes_ended, "berth_registry_evictions_total", "", "", \
    "Connections ended, or sessions removed, because the registry has changed") \
  X(device_replaced, "berth_sessions_replaced_total", "", "", \
    "Sessions that a device ended by coming with another client id") \
  X(refused_sessions, "berth_session_holdings_refused_total", "what", "session", \
    "What a session or its principal may not hold any more, refused with 0x97") \
  X(refused_filters, "berth_session_holdings_refused_total", "what", "filter", "") \
  X(refused_wills, "berth_session_holdings_refused_total", "what", "will", "") \
  X(refused_aliases, "berth_session_holdings_refused_total", "what", "topic_alias", "") \
  X(session_taken_over, "berth_sessions_taken_over_total", "", "", "Take-overs by a new CONNECT") \
  X(take_over_fights, "berth_take_over_fights_total", "", "", \
    "Each fifth time that clients have taken one session from one another within a minute") \
  X(session_expired, "berth_sessions_expired_total", "", "", "Sessions ended by their expiry") \
  X(wills_published, "berth_wills_published_total", "", "", "Will messages published") \
  X(wills_suppressed, "berth_presence_offline_suppressed_total", "", "", \
    "Wills held back because the gateway, not the device, went away") \
  X(presence_online_told, "berth_presence_events_total", "state", "online", \
    "Changes of presence that platforms were told") \
  X(presence_offline_told, "berth_presence_events_total", "state", "offline", "") \
  X(presence_returns, "berth_presence_returns_total", "", "", \
    "Devices that were back before their platform was told that they had gone") \
  X(history_written, "berth_history_events_total", "result", "written", \
    "Events of devices for their history") \
  X(history_left_out, "berth_history_events_total", "result", "left_out", "") \
  X(history_removed, "berth_history_events_total", "result", "removed", "") \
  X(states_left_out, "berth_board_reports_left_out_total", "", "", \
    "Reports of a state that the board has no room for") \
  X(event_gaps, "berth_event_stream_gaps_total", "", "", \
    "Times that a stream of events asked for more than an engine has in memory") \
  X(wills_skipped, "berth_wills_skipped_total", "", "", \
    "Wills left out because two engines died while they published them") \
  X(authz_denied, "berth_authorization_denied_total", "", "", "PUBLISH or SUBSCRIBE refused by ACL") \
  X(peer_received, "berth_partition_messages_total", "result", "taken", \
    "Messages from other partitions") \
  X(peer_doubled, "berth_partition_messages_total", "result", "again", "") \
  X(peer_skipped, "berth_partition_messages_total", "result", "skipped", "") \
  X(commands_accepted, "berth_commands_total", "result", "accepted", \
    "Commands of platforms, by whether they were accepted") \
  X(commands_refused, "berth_commands_total", "result", "refused", "") \
  X(commands_succeeded, "berth_command_outcomes_total", "outcome", "succeeded", \
    "Commands that have their outcome") \
  X(commands_failed, "berth_command_outcomes_total", "outcome", "failed", "") \
  X(commands_rejected, "berth_command_outcomes_total", "outcome", "rejected", "") \
  X(commands_expired, "berth_command_outcomes_total", "outcome", "expired", "") \
  X(commands_not_delivered, "berth_command_outcomes_total", "outcome", "not_delivered", "") \
  X(commands_uncertain, "berth_command_outcomes_total", "outcome", "uncertain", "") \
  X(command_results_late, "berth_command_results_late_total", "", "", \
    "Results of devices that came after their command had its outcome") \
  X(command_results_stray, "berth_command_results_stray_total", "", "", \
    "Results of devices for commands that are not known, or are another device's") \
  X(command_notes_lost, "berth_command_notes_lost_total", "", "", \
    "Notes about commands for which the queue to another partition had no room") \
  X(command_wants_refused, "berth_command_watches_refused_total", "", "", \
    "Devices whose coming could not be watched for waiting commands: too many are") \
  X(command_records_swept, "berth_command_records_removed_total", "", "", \
    "Records of commands removed by age or size (commands.keep_days, commands.keep_bytes)") \
  X(route_waits_expired, "berth_route_waits_expired_total", "", "", \
    "SUBSCRIBEs answered before every partition knew of them") \
  X(edge_links_lost, "berth_edge_links_lost_total", "", "", "Links of edges that broke") \
  X(edges_gone, "berth_edges_gone_total", "", "", "Edges that left or were given up") \
  X(commits, "berth_store_commits_total", "", "", "Group commits") \
  X(committed_writes, "berth_store_writes_total", "", "", "Writes in group commits") \
  X(commit_failures, "berth_store_commit_failures_total", "", "", "Commits that failed; each is tried again until it succeeds") \
  X(applied_replays, "berth_replayed_inputs_total", "", "", \
    "Inputs found committed before by a dead engine, whose outcome was repeated")

#define BERTH_ENGINE_GAUGES(X) \
  X(sessions, "berth_device_sessions", "state", "online", "Sessions now") \
  X(sessions_offline, "berth_device_sessions", "state", "offline", "") \
  X(subscriptions, "berth_subscriptions", "", "", "Subscriptions now") \
  X(held_bytes, "berth_session_holdings_bytes", "", "", \
    "Memory that filters and wills of sessions count for") \
  X(presence_online, "berth_presence_devices", "state", "online", \
    "Registered devices, as their platforms were told") \
  X(presence_offline, "berth_presence_devices", "state", "offline", "") \
  X(presence_leaving, "berth_presence_leaving_devices", "", "", \
    "Devices without a connection whose platform has not been told yet") \
  X(history_bytes, "berth_history_bytes", "", "", "Bytes of the history of devices in the store") \
  X(peer_queued, "berth_partition_queued_messages", "", "", \
    "Messages that wait for another partition") \
  X(commands_open, "berth_commands_open", "", "", "Commands without an outcome") \
  X(desired_pending, "berth_desired_pending_devices", "", "", \
    "Devices that have not answered all parts of their desired state") \
  X(command_records_bytes, "berth_command_records_bytes", "", "", \
    "About how much is stored of commands that have their outcome") \
  X(retained, "berth_retained_messages", "", "", "Retained messages now") \
  X(queued_now, "berth_queued_messages", "", "", "Messages waiting in session queues") \
  X(queued_bytes_now, "berth_queued_bytes", "", "", "Bytes waiting in session queues") \
  X(serving, "berth_engine_serving", "", "", "Partitions that this engine serves (cluster)") \
  X(partitions, "berth_partitions", "", "", "Partitions of the sessions (cluster)") \
  X(term, "berth_engine_term", "", "", "Number of the store's holder as this engine knows it (cluster)") \
  X(edges, "berth_edges", "state", "linked", "Edge shards linked to this engine (cluster)") \
  X(edges_limbo, "berth_edges", "state", "out_of_reach", "") \
  X(store_up, "berth_store_up", "", "", "1: the last commit succeeded") \
  X(restore_ms, "berth_restore_seconds", "", "", "Time the last start took to load the store")

#define BERTH_ENGINE_HISTOGRAMS(X) \
  X(acknowledgement, "berth_acknowledgement_seconds", \
    "From a PUBLISH (QoS 1, 2) or report read by the engine to its acknowledgement given to the edge") \
  X(command, "berth_command_seconds", \
    "From the acceptance of an immediate command to its outcome") \
  X(commit, "berth_store_commit_seconds", "Group commits, from their begin to their end") \
  X(queue_wait, "berth_queue_wait_seconds", \
    "Messages that waited in the queue of a connected session until they were sent") \
  X(reconnect_gap, "berth_reconnect_gap_seconds", \
    "Registered devices whose connection ended by the gateway's doing: until they were back") \
  X(authentication, "berth_authentication_seconds", "Log-ins, from the CONNECT to the verdict") \
  X(redis_round_trip, "berth_redis_round_trip_seconds", "Commits' scripts sent to Redis and answered") \
  X(engine_lag, "berth_engine_loop_lag_seconds", \
    "How late the engine's timer of one second was: work that kept its loop busy")

#define BERTH_EDGE_COUNTERS(X) \
  X(accepted, "berth_connections_accepted_total", "", "", "TCP connections accepted") \
  X(accept_refused, "berth_connections_refused_total", "reason", "limit", \
    "TCP connections closed at accept") \
  X(refused_listener, "berth_connections_refused_total", "reason", "listener_limit", "") \
  X(refused_address, "berth_connections_refused_total", "reason", "address_limit", "") \
  X(refused_proxy, "berth_connections_refused_total", "reason", "proxy", "") \
  X(accept_no_descriptor, "berth_accepts_failed_total", "", "", \
    "Times no descriptor was left for a connection: accepting stops for a second") \
  X(accept_quarantined, "berth_connections_refused_total", "reason", "quarantined", "") \
  X(accept_paused, "berth_accept_pauses_total", "", "", "Times accepting waited for the admission rate") \
  X(bytes_received, "berth_bytes_received_total", "", "", "Bytes read from devices") \
  X(bytes_sent, "berth_bytes_sent_total", "", "", "Bytes written to devices") \
  X(pings, "berth_pings_total", "", "", "PINGREQ answered by the edge") \
  X(steps, "berth_steps_total", "result", "applied", "Steps of engines, by result") \
  X(steps_stale, "berth_steps_total", "result", "refused_stale", "") \
  X(late_arrived, "berth_output_dropped_total", "reason", "late_arrived", \
    "Packets with a deadline that were not written to their device, by cause") \
  X(late_unwritten, "berth_output_dropped_total", "reason", "late_unwritten", "") \
  X(late_no_room, "berth_output_dropped_total", "reason", "too_many_deadlines", "") \
  X(words_dropped, "berth_edge_command_words_total", "fate", "dropped", \
    "Packets of commands by what has become of them at the edge; cut_off may follow written") \
  X(words_written, "berth_edge_command_words_total", "fate", "written", "") \
  X(words_stale, "berth_edge_command_words_total", "fate", "stale", "") \
  X(words_cut_off, "berth_edge_command_words_total", "fate", "cut_off", "") \
  X(questions_waited, "berth_edge_questions_total", "fate", "waited", \
    "Questions of the API that found no engine: waited for the next one; given up with 503 or 504") \
  X(questions_given_up, "berth_edge_questions_total", "fate", "given_up", "") \
  X(engine_starts, "berth_engine_starts_total", "", "", "Engine children made active") \
  X(engine_deaths, "berth_engine_deaths_total", "", "", "Engines that ended without being asked") \
  X(engine_kills, "berth_engine_watchdog_kills_total", "", "", "Engines killed for missed heartbeats") \
  X(engine_start_failures, "berth_engine_start_failures_total", "", "", \
    "Engine children that could not be started") \
  X(poisoned, "berth_quarantined_total", "", "", "Connections quarantined for killing engines") \
  X(probations, "berth_probations_total", "", "", \
    "Times connections were replayed one at a time, after engines died without evidence") \
  X(reattached, "berth_connections_reattached_total", "", "", "Connections handed to a new engine") \
  X(before_login_pushed_out, "berth_connections_pushed_out_total", "reason", "before_login", \
    "Connections closed because others needed their memory") \
  X(unfinished_pushed_out, "berth_connections_pushed_out_total", "reason", "unfinished_packet", "") \
  X(unfinished_late, "berth_packets_late_total", "", "", \
    "Connections closed because a packet did not come whole in time") \
  X(closed_client, "berth_connection_closed_total", "reason", "client", \
    "Connections with a session that ended, by reason; client: the device said DISCONNECT or BYE") \
  X(closed_peer_closed, "berth_connection_closed_total", "reason", "peer_closed", "") \
  X(closed_peer_reset, "berth_connection_closed_total", "reason", "peer_reset", "") \
  X(closed_keepalive, "berth_connection_closed_total", "reason", "keepalive_timeout", "") \
  X(closed_protocol, "berth_connection_closed_total", "reason", "protocol_error", "") \
  X(closed_taken_over, "berth_connection_closed_total", "reason", "taken_over", "") \
  X(closed_drained, "berth_connection_closed_total", "reason", "drained", "") \
  X(closed_too_large, "berth_connection_closed_total", "reason", "frame_too_large", "") \
  X(closed_slow, "berth_connection_closed_total", "reason", "slow_consumer", "") \
  X(closed_policy, "berth_connection_closed_total", "reason", "policy", "") \
  X(closed_engine_absent, "berth_connection_closed_total", "reason", "engine_absent", "") \
  X(closed_session_lost, "berth_connection_closed_total", "reason", "session_lost", "") \
  X(closed_poison, "berth_connection_closed_total", "reason", "poison", "") \
  X(closed_tls_failed, "berth_connection_closed_total", "reason", "tls_failed", "") \
  X(closed_cut_off, "berth_connection_closed_total", "reason", "cut_off", "") \
  X(unready_refused, "berth_connections_closed_before_login_total", "reason", "refused", \
    "Connections that ended before CONNACK or WELCOME with success, by reason") \
  X(unready_client, "berth_connections_closed_before_login_total", "reason", "client", "") \
  X(unready_peer_closed, "berth_connections_closed_before_login_total", "reason", "peer_closed", \
    "") \
  X(unready_peer_reset, "berth_connections_closed_before_login_total", "reason", "peer_reset", "") \
  X(unready_handshake, "berth_connections_closed_before_login_total", "reason", "handshake_timeout", \
    "") \
  X(unready_tls_failed, "berth_connections_closed_before_login_total", "reason", "tls_failed", "") \
  X(unready_protocol, "berth_connections_closed_before_login_total", "reason", "protocol_error", \
    "") \
  X(unready_drained, "berth_connections_closed_before_login_total", "reason", "drained", "") \
  X(unready_too_large, "berth_connections_closed_before_login_total", "reason", "frame_too_large", \
    "") \
  X(unready_policy, "berth_connections_closed_before_login_total", "reason", "policy", "") \
  X(unready_engine_absent, "berth_connections_closed_before_login_total", "reason", "engine_absent", \
    "") \
  X(unready_poison, "berth_connections_closed_before_login_total", "reason", "poison", "") \
  X(tls_full, "berth_tls_handshakes_total", "kind", "full", "TLS handshakes of devices done") \
  X(tls_resumed, "berth_tls_handshakes_total", "kind", "resumed", "")

#define BERTH_EDGE_GAUGES(X) \
  X(connections, "berth_connections", "", "", "Connections with a session") \
  X(unauthenticated, "berth_connections_unauthenticated", "", "", "Connections before CONNACK") \
  X(open_mqtt, "berth_transport_connections", "transport", "mqtt", "Open sockets of devices, by listener") \
  X(open_mqtts, "berth_transport_connections", "transport", "mqtts", "") \
  X(open_ws, "berth_transport_connections", "transport", "ws", "") \
  X(open_wss, "berth_transport_connections", "transport", "wss", "") \
  X(open_park, "berth_transport_connections", "transport", "park", "") \
  X(open_parks, "berth_transport_connections", "transport", "parks", "") \
  X(connections_limit, "berth_connections_limit", "", "", "Configured maximum") \
  X(admission_rate, "berth_accept_rate_limit", "", "", \
    "Connections that may be accepted a second now, as learned") \
  X(input_bytes, "berth_inbound_buffer_bytes", "", "", "Input kept until an engine acknowledges it") \
  X(output_bytes, "berth_outbound_buffer_bytes", "", "", "Output not yet taken by the kernel") \
  X(draining, "berth_draining", "", "", "1 while the gateway drains") \
  X(drain_remaining, "berth_drain_connections_remaining", "", "", "Connections left to drain") \
  X(questions_waiting, "berth_edge_questions_waiting", "", "", \
    "Questions of the API that wait for the next engine now; 1,000 at most") \
  X(engine_up, "berth_engine_up", "", "", "1 while an engine serves this edge") \
  X(quarantined_now, "berth_quarantined", "", "", \
    "Principals in quarantine now, for killing engines") \
  X(engine_gap_ms, "berth_engine_last_gap_seconds", "", "", \
    "From the last engine's death to its successor serving")

#define BERTH_EDGE_HISTOGRAMS(X) \
  X(engine_gap, "berth_engine_gap_seconds", \
    "From an engine's end to its successor serving, for each edge shard and partition") \
  X(edge_lag, "berth_edge_loop_lag_seconds", \
    "How late an edge shard's timer of one second was: work that kept its loop busy")
