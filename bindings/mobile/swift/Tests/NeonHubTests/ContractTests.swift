import Foundation
import NeonHubNative
import XCTest

@testable import NeonHub

/// The contract files: what every language must show alike.
final class ContractTests: XCTestCase {
    private func contract(_ name: String) throws -> JSONValue {
        var folder = URL(fileURLWithPath: #filePath)
        for _ in 0..<6 { folder.deleteLastPathComponent() }
        let data = try Data(contentsOf: folder.appendingPathComponent("tests/contract/\(name)"))
        return expanded(try JSONDecoder().decode(JSONValue.self, from: data))
    }

    /// Long texts are written short: `{"$repeat": [TEXT, N]}`.
    private func expanded(_ value: JSONValue) -> JSONValue {
        switch value {
        case .array(let items):
            return .array(items.map(expanded))
        case .object(let members):
            if case .array(let pair)? = members["$repeat"], case .string(let text)? = pair.first,
                case .int(let times)? = pair.last
            {
                return .string(String(repeating: text, count: Int(times)))
            }
            return .object(members.mapValues(expanded))
        default:
            return value
        }
    }

    private func cases(_ name: String) throws -> [JSONValue] {
        guard case .array(let cases)? = try contract(name)["cases"] else { return [] }
        XCTAssertFalse(cases.isEmpty)
        return cases
    }

    private func pairs(_ value: JSONValue?) -> [ErrorPair] {
        guard case .array(let pairs)? = value else { return [] }
        return pairs.compactMap { pair in
            guard case .array(let words) = pair, let name = words.first?.text, let text = words.last?.text else { return nil }
            return ErrorPair(name: name, text: text)
        }
    }

    func testErrorsShowWhatTheContractSays() throws {
        for example in try cases("errors.json") {
            let made = example["error"], expect = example["expect"]
            var wait: Int64?
            if case .int(let ms)? = made?["retry_after_ms"] { wait = ms }
            let parts = ErrorParts(
                kind: made?["kind"]?.text ?? "", code: made?["code"]?.text ?? "", operation: "",
                reason: made?["message"]?.text ?? "", context: pairs(made?["context"]), faults: pairs(made?["faults"]),
                retryable: made?["retryable"] == .bool(true), retryAfterMs: wait, line: "", raised: nil)
            XCTAssertThrowsError(try translated { try fail(parts: parts) }) { error in
                guard let error = error as? NeonHubError else { return XCTFail("\(error)") }
                XCTAssertEqual(error.kind, expect?["kind"]?.text)
                XCTAssertEqual(error.code, expect?["code"]?.text)
                XCTAssertEqual(.bool(error.retryable), expect?["retryable"])
                XCTAssertEqual(error.description, expect?["line"]?.text)
                XCTAssertEqual(error.retryAfter?.milliseconds, wait)
            }
        }
    }

    func testEveryKindHasACase() throws {
        for kind in errorKinds() {
            XCTAssertEqual(NeonHubError.of(kind, Details("x")).kind, kind)
        }
    }

    func testValuesComeBackAsTheyWent() throws {
        for example in try cases("values.json") {
            let value = example["value"] ?? .null
            let back = try Coding.decode(JSONValue.self, echo(text: json(value)))
            XCTAssertEqual(back, value, "\(example["name"]?.text ?? "")")
        }
    }

    func testCallsAnswerWhatTheContractSays() async throws {
        let now = Date(timeIntervalSince1970: 1_795_251_600)
        let hub = try await Hub.open(seed: 1, now: now)
        for example in try cases("calls.json") {
            let name = example["operation"]?.text ?? ""
            var args = hub.core.args()
            if case .object(let members)? = example["input"] {
                members.forEach { args.give($0.key, $0.value) }
            }
            do {
                let answer = try await hub.core.call(name, args, JSONValue.self)
                XCTAssertTrue(holds(answer, example["answer"] ?? .null), "\(example["name"]?.text ?? ""): \(answer)")
            } catch let error as NeonHubError {
                XCTAssertEqual(error.kind, example["error"]?["kind"]?.text, "\(example["name"]?.text ?? ""): \(error)")
            }
        }
        try await hub.close()
    }

    private func holds(_ found: JSONValue?, _ expected: JSONValue) -> Bool {
        guard case .object(let members) = expected, case .object? = found else { return found == expected }
        return members.allSatisfy { holds(found?[$0.key], $0.value) }
    }
}
