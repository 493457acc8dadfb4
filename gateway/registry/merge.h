// A record of which only a part is said: JSON merge patch (RFC 7396) on registry.proto's JSON, and
// what such a change makes different. Any thread.
#pragma once

#include <boost/json/object.hpp>
#include <memory>
#include <string>

#include "gateway/registry/records.h"

namespace berth::gateway::registry {

// What is stored with `patch` on it: objects (limits, labels) are merged, null takes a field away,
// lists are replaced. `add_credentials`: those of the patch are added to the others, in the place
// of one with the same auth_id or certificate. Throws BadRecord.
std::unique_ptr<Message> merged(Kind kind, const std::string& stored,
                                const boost::json::object& patch, bool add_credentials);
// The object of a request. Throws BadRecord.
boost::json::object parse_object(const std::string& json);

// {"record":"devices/acme/cam-1","action":"create","fields":{NAME:{"from":…,"to":…}}}, or update,
// delete; without secrets: "credentials" says {"changed":true} where only those differ. Null: not
// there.
boost::json::object difference(const std::string& key, const std::string* before,
                               const std::string* after);

}  // namespace berth::gateway::registry
