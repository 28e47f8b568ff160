//! Where a recipient is: zone and jurisdiction from explicit zone, address, area code, country.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use jiff::tz::TimeZone;

/// What is known about where a person is. Holds no full number or address.
#[derive(Clone, Debug, Default)]
pub struct Place {
    /// The zone the person or the host gave, as IANA name. An unknown name is ignored.
    pub timezone: Option<String>,
    /// ISO 3166-1 alpha-2 of the address, upper case.
    pub country: Option<String>,
    /// State or province, upper case, without the country: `FL`.
    pub region: Option<String>,
    /// What the phone number says, when the message goes to one.
    pub phone: Option<PhonePlace>,
}

/// What a phone number says about its place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PhonePlace {
    /// ISO 3166-1 alpha-2 of the number; `None` when several countries share the code.
    pub country: Option<String>,
    /// Area code of a North American number.
    pub area: Option<String>,
}

/// An area code of the North American Numbering Plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Area {
    /// ISO 3166-1 alpha-2.
    pub country: &'static str,
    /// State or province; `None` when the code serves several.
    pub region: Option<&'static str>,
    /// Zones it lies in.
    pub zones: Vec<&'static str>,
}

/// Which knowledge gave the zones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ZoneSource {
    /// The zone given for the person.
    Person,
    /// State or single-zone country of the address.
    Address,
    /// Area code of the phone number.
    AreaCode,
    /// All zones of the country.
    Country,
    /// Nothing is known: the workspace.
    Workspace,
}

impl ZoneSource {
    /// The word shown as evidence.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            ZoneSource::Person => "person",
            ZoneSource::Address => "address",
            ZoneSource::AreaCode => "area_code",
            ZoneSource::Country => "country",
            ZoneSource::Workspace => "workspace",
        }
    }
}

/// The area code of an E.164 number of country code 1; `None` for any other number.
#[must_use]
pub fn area_code(e164: &str) -> Option<&str> {
    let national = e164.strip_prefix("+1")?;
    (national.len() == 10 && national.bytes().all(|b| b.is_ascii_digit()))
        .then(|| national.get(..3))
        .flatten()
}

impl PhonePlace {
    /// Place of an E.164 number. `country` is what the numbering plan says (`phonenumber` crate), if anything.
    #[must_use]
    pub fn of(e164: &str, country: Option<&str>) -> Self {
        let area = area_code(e164).map(str::to_owned);
        let by_area = area.as_deref().and_then(|a| tables().areas.get(a)).map(|a| a.country);
        PhonePlace { country: by_area.or(country).map(str::to_owned), area }
    }

    fn area(&self) -> Option<&'static Area> {
        tables().areas.get(self.area.as_deref()?)
    }
}

impl Place {
    /// The country whose law holds: of the address, else of the number.
    #[must_use]
    pub fn law_country(&self) -> Option<&str> {
        self.country.as_deref().or_else(|| self.phone.as_ref().and_then(|p| p.country.as_deref()))
    }

    /// The states whose law may hold: of the address and of the area code, when they differ both. Empty when
    /// unknown.
    #[must_use]
    pub fn law_regions(&self) -> Vec<String> {
        let mut out: Vec<String> = self.region.iter().map(|r| r.to_ascii_uppercase()).collect();
        let country = self.law_country();
        if let Some(area) = self.phone.as_ref().and_then(PhonePlace::area)
            && country == Some(area.country)
            && let Some(region) = area.region
            && !out.iter().any(|r| r == region)
        {
            out.push(region.to_owned());
        }
        out
    }
}

/// The zones the recipient may be in, and what says so. All of them must be open for a message to go.
#[must_use]
pub fn candidate_zones(place: &Place, workspace: &TimeZone) -> (Vec<TimeZone>, ZoneSource) {
    if let Some(zone) = place.timezone.as_deref().and_then(|name| zones(&[name]).pop()) {
        return (vec![zone], ZoneSource::Person);
    }
    let found = |names: &[&'static str], source| {
        let zones = zones(names);
        (!zones.is_empty()).then_some((zones, source))
    };
    let all_of = |country: &str| tables().countries.get(country).map_or(&[][..], Vec::as_slice);
    let area = place.phone.as_ref().and_then(PhonePlace::area);
    let by_address = place.country.as_deref().and_then(|country| {
        let region = place.region.as_ref().map(|r| (country.to_owned(), r.to_ascii_uppercase()));
        let regional = region.and_then(|key| tables().regions.get(&key));
        let single = Some(all_of(country)).filter(|names| names.len() == 1);
        found(regional.map(Vec::as_slice).or(single)?, ZoneSource::Address)
    });
    by_address
        .or_else(|| {
            let area = area.filter(|a| place.country.as_deref().is_none_or(|c| c == a.country))?;
            found(&area.zones, ZoneSource::AreaCode)
        })
        .or_else(|| found(all_of(place.law_country()?), ZoneSource::Country))
        .unwrap_or_else(|| (vec![workspace.clone()], ZoneSource::Workspace))
}

fn zones(names: &[&str]) -> Vec<TimeZone> {
    names.iter().filter_map(|name| neonhub_core::zone("timezone", name).ok()).collect()
}

struct Tables {
    countries: BTreeMap<&'static str, Vec<&'static str>>,
    regions: BTreeMap<(String, String), Vec<&'static str>>,
    areas: BTreeMap<&'static str, Area>,
}

fn tables() -> &'static Tables {
    static TABLES: OnceLock<Tables> = OnceLock::new();
    TABLES.get_or_init(|| Tables {
        countries: rows(include_str!("data/country_zones.tsv"))
            .filter_map(|[country, zones, ..]| Some((country?, split(zones?))))
            .collect(),
        regions: rows(include_str!("data/region_zones.tsv"))
            .filter_map(|[country, region, zones, _]| {
                Some(((country?.to_owned(), region?.to_owned()), split(zones?)))
            })
            .collect(),
        areas: rows(include_str!("data/nanp.tsv"))
            .filter_map(|[area, country, region, zones]| {
                let region = region.filter(|r| !r.is_empty());
                Some((area?, Area { country: country?, region, zones: split(zones?) }))
            })
            .collect(),
    })
}

fn rows(text: &'static str) -> impl Iterator<Item = [Option<&'static str>; 4]> {
    text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).map(|line| {
        let mut cells = line.split('\t');
        [cells.next(), cells.next(), cells.next(), cells.next()]
    })
}

fn split(zones: &'static str) -> Vec<&'static str> {
    zones.split(' ').collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(place: &Place) -> (Vec<String>, &'static str) {
        let (zones, source) = candidate_zones(place, &TimeZone::UTC);
        (zones.iter().filter_map(|z| z.iana_name().map(str::to_owned)).collect(), source.as_str())
    }

    #[test]
    fn every_row_of_the_tables_names_zones_that_exist() {
        let t = tables();
        assert!(t.countries.len() > 240 && t.regions.len() > 60 && t.areas.len() > 400);
        let all = t.countries.values().chain(t.regions.values()).chain(t.areas.values().map(|a| &a.zones));
        for list in all {
            assert!(!list.is_empty());
            assert_eq!(zones(list).len(), list.len(), "{list:?}");
        }
    }

    #[test]
    fn order_is_person_address_area_code_country_workspace() {
        let mut place = Place { phone: Some(PhonePlace::of("+13055550100", Some("US"))), ..Place::default() };
        assert_eq!(names(&place), (vec!["America/New_York".into()], "area_code"));
        place.country = Some("US".into());
        assert_eq!(names(&place).1, "area_code");
        place.region = Some("tx".into());
        assert_eq!(names(&place), (vec!["America/Chicago".into(), "America/Denver".into()], "address"));
        place.timezone = Some("Europe/Vienna".into());
        assert_eq!(names(&place), (vec!["Europe/Vienna".into()], "person"));
        place.timezone = Some("Mars/Olympus".into());
        assert_eq!(names(&place).1, "address");
        let us = Place { country: Some("US".into()), ..Place::default() };
        assert!(names(&us).0.len() > 20 && names(&us).1 == "country");
        assert_eq!(names(&Place::default()).1, "workspace");
    }

    #[test]
    fn a_number_says_its_country_and_state() {
        let miami = PhonePlace::of("+13055550100", None);
        assert_eq!((miami.country.as_deref(), miami.area.as_deref()), (Some("US"), Some("305")));
        assert_eq!(PhonePlace::of("+12425550100", Some("US")).country.as_deref(), Some("BS"));
        assert_eq!(PhonePlace::of("+447700900123", Some("GB")).country.as_deref(), Some("GB"));
        let moved = Place {
            country: Some("US".into()),
            region: Some("TX".into()),
            phone: Some(miami),
            ..Place::default()
        };
        assert_eq!(moved.law_regions(), ["TX", "FL"]);
    }
}
