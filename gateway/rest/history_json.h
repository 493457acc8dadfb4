// Events of devices as JSON, and the words of their types. Plain functions; any thread.
#pragma once

#include <boost/json/object.hpp>
#include <string>

#include "platform/history.pb.h"

namespace berth::gateway::rest {

boost::json::object history_json(const platform::pb::HistoryEvent& e);
const char* history_type(const platform::pb::HistoryEvent& e);

using HistoryKinds = google::protobuf::RepeatedField<google::protobuf::uint32>;
// "connected,ended": appends platform::HistoryKind, of those below `end`. False: another word is
// among them.
bool add_kinds(const std::string& types, unsigned end, HistoryKinds& out);

}  // namespace berth::gateway::rest
