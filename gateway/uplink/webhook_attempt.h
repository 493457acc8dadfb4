// POSTs to a platform's webhook: a batch of messages after the other, signed (docs/uplinks.md,
// "Webhook"). A batch that the platform refuses for ever is sent again one message at a time, so
// that only the one that it refuses is.
#pragma once

#include <boost/asio/io_context.hpp>
#include <memory>

#include "gateway/uplink/attempt.h"
#include "gateway/uplink/uplink_config.h"

namespace berth::gateway::uplink {

// `config` outlives it.
std::unique_ptr<Attempt> dial_webhook(boost::asio::io_context& io, const UplinkConfig& config,
                                      Teller tell);

// The value of the header Berth-Signature over a body: "t=SECONDS,v1=HEX[,v1=HEX]", one for each
// line of `secrets`. Throws std::runtime_error: there is none.
std::string webhook_signature(const std::string& secrets, std::int64_t now_s,
                              const std::string& body);
// One message in the body's JSON.
std::string webhook_message(const Upward& m);

}  // namespace berth::gateway::uplink
