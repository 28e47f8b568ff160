import Foundation
import NeonHubNative

extension Hub {
    /// A hub for tests: in memory, with fixed chance, and a clock that stands until it is moved.
    public static func memory(seed: Int = 1, now: Date = testNow) async throws -> Hub {
        try await open(seed: seed, now: now)
    }

    /// The instant that ``memory(seed:now:)`` starts at: a Monday morning, 2026-01-05T09:00:00Z.
    public static var testNow: Date { Date(timeIntervalSince1970: 1_767_603_600) }

    /// Adds a scripted model; it answers from now on.
    public func addModel(_ model: ScriptedModel) throws {
        try translated { try core.native.addScripted(model: model.native) }
    }

    /// Puts a cassette before the models of this hub; nil takes it out.
    public func insert(_ cassette: Cassette?) throws {
        try translated { try core.native.insertCassette(cassette: cassette?.native) }
    }

    /// Puts faults on the calls of this hub; nil takes them away.
    public func inject(_ faults: Faults?) throws {
        try translated { try core.native.injectFaults(faults: faults?.native) }
    }

    /// The clock, when the hub was opened with `now`: it stands still until it is moved.
    public var clock: VirtualClock? { core.native.clock().map(VirtualClock.init) }
}

/// A model that plays a script. The first line that fits a request answers it and is used up.
public final class ScriptedModel: Sendable {
    let native: NativeScript

    public init(_ script: [JSONValue]) throws {
        let text = try json(.array(script))
        native = try translated { try NativeScript(script: text) }
    }

    /// Adds a line: text, or a map with one of `text`, `chunks`, `json`, `tool_calls`, `refuse` and `error`.
    public func add(_ line: JSONValue) throws {
        let text = try json(line)
        try translated { try native.add(line: text) }
    }

    /// Every request so far, in order.
    public func requests() throws -> [JSONValue] { try Coding.decode([JSONValue].self, native.requests()) }

    /// The lines that nobody has asked for, in words.
    public var left: [String] { native.left() }
}

/// Answers of models on tape: recorded once, played without a network from then on. What looks like a secret or a way to
/// reach a person is redacted before it is written. Answers in words are recorded: embeddings, pictures and moderation are
/// not. An answer that is played costs nothing.
public final class Cassette: Sendable {
    /// What it does with a request.
    public enum Mode: String, Sendable {
        /// Plays what is there and records what is missing.
        case auto
        /// Records everything anew.
        case record
        /// Plays what is there; anything else fails with code `cassette_miss`.
        case replay
    }

    let native: NativeCassette

    /// Opens it; the file is made with the first recording.
    public init(_ path: String, mode: Mode = .auto) throws {
        native = try translated { try NativeCassette(path: path, mode: mode.rawValue) }
    }

    /// Erases the answers of runs about a person; says how many there were.
    public func erasePerson(_ person: String) throws -> UInt64 {
        try translated { try native.erasePerson(person: person) }
    }
}

/// Puts faults on the calls of models, tools and connectors.
public final class Faults: Sendable {
    let native = NativeFaults()

    public init() {}

    /// Adds a rule: `on` (`model`, `tool`, `connector`), and as wanted `name`, `nth`, `times`, `delay_ms`, `hang`,
    /// `error`, `status`, `cut`, `kill` and `after`.
    public func add(_ rule: [String: JSONValue]) throws {
        let text = try json(.object(rule))
        try translated { try native.add(rule: text) }
    }

    /// Takes every rule away.
    public func clear() { native.clear() }

    /// The calls so far, in order.
    public func seen() throws -> [JSONValue] { try Coding.decode([JSONValue].self, native.seen()) }
}

/// The clock of a hub that was opened with `now`.
public struct VirtualClock: Sendable {
    let native: NativeClock

    /// The instant it shows.
    public var now: Date { Date(timeIntervalSince1970: Double(native.nowMs()) / 1000) }

    /// Moves it forward.
    public func advance(by duration: Duration) { native.advance(ms: duration.milliseconds) }

    /// Moves it to an instant, also back.
    public func set(_ instant: Date) throws {
        try translated { try native.set(instant: rfc3339(instant)) }
    }
}

/// Keeps every socket of the process shut while `work` runs.
public func forbidNetwork<T>(_ work: () async throws -> T) async throws -> T {
    let offline = NativeOffline()
    defer { offline.lift() }
    return try await work()
}
