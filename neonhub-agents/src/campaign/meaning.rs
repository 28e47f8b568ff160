//! What the rules of the gate say, in words for the reader of a report.

/// What a rule says.
pub(super) fn of(rule: &str) -> &'static str {
    match rule {
        "G01.tenant" => "the workspace or the brand is not active",
        "G01.source" => "the campaign has not begun, is paused or over, or the send came too late",
        "G02.approval" => "the text is not approved",
        "G02.moderation" => "the text did not pass moderation",
        "G02.offline" => "a text of the offline model in a production workspace",
        "G02.guardrail" => "the guardrail blocks the text",
        "G02.footer" => "sender, postal address or the way out is missing",
        "G02.deliverability" => "the mail would not arrive",
        "G03.person" => "the person does not exist, is restricted or erased",
        "G03.identity" => "no usable or proved address for this channel",
        "G04.suppression" => "the address or person is on a suppression list",
        "G05.consent" => "no consent in force for this channel",
        "G06.law" => "outside the legal hours where the person is",
        "G06.person" => "the person's own quiet hours or pause",
        "G06.brand" => "outside the hours of the brand",
        "G07.window" => "the platform's window is closed",
        "G07.limits" => "over a limit of the platform",
        "G07.duplicate" => "the same text on the same account",
        "G08.frequency" => "enough messages to this person for now",
        "G09.budget" => "the budget does not allow it",
        "G10.provider" => "the provider cannot take it now",
        _ => "a rule of the gate",
    }
}

/// Whether a rule holds a send until later or refuses it.
pub(super) fn decision(rule: &str) -> &'static str {
    match rule {
        "G01.source" | "G02.approval" | "G06.law" | "G06.person" | "G06.brand" | "G08.frequency"
        | "G10.provider" => "defer",
        _ => "deny",
    }
}

#[cfg(test)]
mod tests {
    use crate::gate::RuleId;

    #[test]
    fn every_rule_of_the_gate_has_its_words() {
        for rule in RuleId::ALL {
            assert_ne!(super::of(rule.as_str()), super::of("unknown"), "{rule}");
        }
    }
}
