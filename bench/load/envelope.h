// What a camera reports, as the load of devices that speak Park or report over MQTT.
#pragma once

#include <string>
#include <string_view>

namespace berth::bench {

// A serialized Envelope with a plate; its event_id is `id` in hexadecimal digits.
std::string plate_report(std::string_view id);

}  // namespace berth::bench
