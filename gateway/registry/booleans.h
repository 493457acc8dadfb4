// A field that is true or false is said so. Protobuf takes strings for it too ("no", "t", "0"),
// which somebody may have meant as text, or as another word than it is taken for. Any thread.
#pragma once

#include <yaml-cpp/node/node.h>

#include <boost/json/object.hpp>

#include "gateway/registry/records.h"

namespace berth::gateway::registry {

// Throws BadRecord that names the field.
void check_booleans(Kind kind, const boost::json::object& record);
// Of YAML: what stands without quotes is no string. With the line.
void check_booleans(Kind kind, const YAML::Node& record);

}  // namespace berth::gateway::registry
