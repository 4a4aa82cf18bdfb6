# A chat on Action Cable: a channel for each room, whose action `speak` broadcasts to the room.

require "action_cable"
require "json"
require "logger"
require "optparse"
require "puma"

$stdout.sync = true
OPTIONS = { port: 0 }
OptionParser.new do |parser|
  parser.on("--port PORT", Integer)
  parser.on("--token TOKEN", "the only accepted token; without it every client is accepted")
  parser.on("--never-acknowledge", "confirm no subscription")
  parser.on("--refuse-room ROOM", "a room that nobody may join")
  parser.on("--in-order", "keep the order of messages; Rails may change it, since several threads handle them")
end.parse!(into: OPTIONS)

# What the server counted; several threads use it.
class Counts
  def initialize
    @mutex = Mutex.new
    @values = { clients: 0, members: 0, messages: 0, deliveries: 0 }
  end

  def add(name, number = 1)
    @mutex.synchronize { @values[name] += number }
  end

  def to_json
    @mutex.synchronize { JSON.generate(@values) }
  end
end

COUNTS = Counts.new

class ChatConnection < ActionCable::Connection::Base
  identified_by :user

  def connect
    reject_unauthorized_connection if OPTIONS[:token] && request.params["token"] != OPTIONS[:token]
    self.user = request.params["user"] || "anonymous"
    @counted = true
    COUNTS.add(:clients)
  end

  def disconnect
    COUNTS.add(:clients, -1) if @counted
  end
end

class ChatChannel < ActionCable::Channel::Base
  def subscribed
    return reject if params["room"] == OPTIONS[:"refuse-room"]

    defer_subscription_confirmation! if OPTIONS[:"never-acknowledge"]
    @member = true
    COUNTS.add(:members)
    stream_from(stream)
  end

  def unsubscribed
    COUNTS.add(:members, -1) if @member
  end

  def speak(data)
    COUNTS.add(:messages)
    ActionCable.server.broadcast(stream, { user: user, text: data["text"] })
  end

  private

  def stream
    "chat #{params["room"]}"
  end

  def transmit(data, via: nil)
    COUNTS.add(:deliveries)
    super
  end
end

config = ActionCable.server.config
config.cable = { "adapter" => "async" }
config.connection_class = -> { ChatConnection }
config.disable_request_forgery_protection = true # the clients send no Origin
config.logger = Logger.new($stdout, level: Logger::WARN)

if OPTIONS[:"in-order"]
  config.worker_pool_size = 1
  ActionCable.server.event_loop.instance_variable_set(:@executor, Concurrent::SingleThreadExecutor.new)
end

app = lambda do |env|
  case env["PATH_INFO"]
  when "/cable" then ActionCable.server.call(env)
  when "/counts" then [200, { "Content-Type" => "application/json" }, [COUNTS.to_json]]
  else [404, { "Content-Type" => "text/plain" }, ["not found\n"]]
  end
end

server = Puma::Server.new(app, Puma::Events.stdio)
listener = server.add_tcp_listener("127.0.0.1", OPTIONS[:port])
server.run
puts "listening on ws://127.0.0.1:#{listener.addr[1]}"
wake, signal = IO.pipe
trap("TERM") { signal.write(".") }
wake.read(1)
exit!(0)
