// What the gateway's words for ends of connections and refused log-ins mean for people, and where
// to look then. Also what the verbs that explain something share: members of JSON, times, and ages.
#pragma once

#include <boost/json.hpp>
#include <cstdint>
#include <optional>
#include <string>

namespace berth::gateway {

// A sentence for a cause of docs/platform.md ("keep_alive"). A word that is not known is itself.
std::string meaning_of_cause(const std::string& cause);
// What the edge has seen: a reason of berth_connection_closed_total ("peer_reset"), beside its
// cause.
std::string meaning_of_evidence(const std::string& evidence, const std::string& cause);
// What an operator looks at; empty: nothing.
std::string advice_for_cause(const std::string& cause);
std::string advice_for_refusal(const std::string& reason);

// The object in this text; an empty one if there is none.
boost::json::object object_of(const std::string& text);
// A member: its text without control characters, "" if it is absent.
std::string text_in(const boost::json::object& o, const char* name);
std::int64_t number_in(const boost::json::object& o, const char* name);
bool is_true(const boost::json::object& o, const char* name);
boost::json::array list_in(const boost::json::object& o, const char* name);
boost::json::object object_in(const boost::json::object& o, const char* name);

// Seconds since 1970 of "2026-11-29T09:12:40.120Z".
std::optional<std::int64_t> seconds_of(const std::string& time);
// "2026-11-29 09:12:40 UTC, 3 h 12 min ago"; a text that is no time stays as it is.
std::string with_age(const std::string& time, std::int64_t now_s);
// "3 h 12 min": the two largest units.
std::string duration_of(std::int64_t seconds);

}  // namespace berth::gateway
