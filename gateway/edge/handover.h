// All connections of a shard as records and sockets, and back: an upgrade of the edge on one host
// (ADR 9; handover.cc has the grammar of the records). While the shard's loop stands still. A room
// of the edge; the shard's thread.
//
// Limits: 4 Mi slots; a record that is malformed is not adopted, and its socket stays the caller's.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "gateway/edge/acceptor.h"
#include "gateway/edge/attachments.h"
#include "gateway/edge/connection.h"
#include "gateway/edge/edge_context.h"
#include "gateway/edge/kept_input.h"
#include "gateway/edge/output.h"

namespace berth::gateway::edge {

class Handover final : private EdgeRoom {
 public:
  // As EdgeShard's functions of these names.
  using Give = std::function<void(std::string_view record, int fd)>;
  Handover(EdgeContext& cx, KeptInput& input, Output& output, Acceptor& acceptor,
           Attachments& attachments)
      : EdgeRoom(cx),
        input_(input),
        output_(output),
        acceptor_(acceptor),
        attachments_(attachments) {}

  std::string hand_over(const Give& give);
  bool adopt(std::string_view record, int fd);
  // REQUIRES: no adopt() afterwards.
  bool adopt_rest(std::string_view rest);

 private:
  void count_adopted(Connection& c);

  KeptInput& input_;
  Output& output_;
  Acceptor& acceptor_;
  Attachments& attachments_;
};

}  // namespace berth::gateway::edge
