//! Names of distribution files: wheels (PEP 427) and source distributions (PEP 625).

use model::{FileKind, ProjectName, Version};

/// Longest file name accepted, in bytes: the limit of common file systems.
pub(crate) const MAX_BYTES: usize = 255;

/// Row 19: whether the name is valid at all, and fits the file type.
pub(crate) fn check_shape(name: &str, kind: FileKind) -> Result<(), String> {
    if name.is_empty() || name.len() > MAX_BYTES {
        return Err(format!(
            "Invalid filename: Use 1 to {MAX_BYTES} characters."
        ));
    }
    if name.chars().any(char::is_control) {
        return Err(
            "Cannot upload a file with non-printable characters in the filename.".to_owned(),
        );
    }
    if name.contains(['/', '\\']) {
        return Err("Cannot upload a file with '/' or '\\' in the name.".to_owned());
    }
    if !name.is_ascii() {
        return Err(
            "Cannot upload a file with characters beyond ASCII in the filename.".to_owned(),
        );
    }
    match kind {
        FileKind::Sdist if name.ends_with(".tar.gz") || name.ends_with(".zip") => Ok(()),
        FileKind::Wheel if name.ends_with(".whl") => Ok(()),
        FileKind::Sdist => Err(format!(
            "Invalid file extension: '{name}' is no source distribution. Use .tar.gz for filetype 'sdist'. See https://www.python.org/dev/peps/pep-0527 for more information."
        )),
        FileKind::Wheel => Err(format!(
            "Invalid file extension: '{name}' is no wheel. Use .whl for filetype 'bdist_wheel'. See https://www.python.org/dev/peps/pep-0527 for more information."
        )),
    }
}

/// Row 29: a source distribution's name follows PEP 625. Older ones have the project's own
/// spelling, which installers find as well.
pub(crate) fn check_sdist(
    name: &str,
    project: &ProjectName,
    version: &Version,
    older_files: bool,
) -> Result<(), String> {
    let expected = format!("{}-{version}.tar.gz", escaped(project));
    let is_older = || {
        let (distribution, text) = name.strip_suffix(".tar.gz")?.rsplit_once('-')?;
        let agrees = ProjectName::parse(distribution).ok()?.normalized() == project.normalized()
            && Version::parse(text).ok()? == *version;
        (agrees && has_only_version_characters(text)).then_some(())
    };
    if name == expected || older_files && is_older().is_some() {
        return Ok(());
    }
    Err(format!(
        "Filename '{name}' is invalid, should be '{expected}'."
    ))
}

/// Parsing a version ignores blanks around it; a file name has none.
fn has_only_version_characters(text: &str) -> bool {
    text.bytes()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'+' | b'!'))
}

/// A project's name as it appears in file names.
fn escaped(project: &ProjectName) -> String {
    project.normalized().replace('-', "_")
}

/// Row 30: a wheel's name agrees with project and version, and installers can match its platforms.
pub(crate) fn check_wheel(
    name: &str,
    project: &ProjectName,
    version: &Version,
    older_files: bool,
) -> Result<(), String> {
    let wheel = Wheel::parse(name)?;
    let (found, expected) = (&wheel.distribution, escaped(project));
    if found.normalized() != project.normalized() {
        return Err(format!(
            "Start filename for '{}' with '{expected}'.",
            project.as_written()
        ));
    }
    if !older_files && found.as_written() != expected {
        return Err(format!(
            "Filename '{name}' should contain the normalized project name '{expected}', not '{}'.",
            found.as_written()
        ));
    }
    if wheel.version != *version {
        return Err(format!(
            "Version in filename should be '{version}' not '{}'.",
            wheel.version
        ));
    }
    match wheel.tags[2]
        .split('.')
        .find(|platform| !is_supported_platform(platform))
    {
        Some(platform) => Err(format!(
            "Binary wheel '{name}' has an unsupported platform tag '{platform}'."
        )),
        None => Ok(()),
    }
}

/// The normalized project name that a file name begins with, as far as this is possible without
/// knowing the project: used to find the project of a download.
pub(crate) fn project_of(name: &str) -> Option<String> {
    let stem = name
        .strip_suffix(".tar.gz")
        .or_else(|| name.strip_suffix(".whl"))
        .or_else(|| name.strip_suffix(".zip"))?;
    let distribution = if name.ends_with(".whl") {
        stem.split_once('-')?.0
    } else {
        stem.rsplit_once('-')?.0
    };
    // Not `ProjectName::parse`: wheels whose names begin or end with a separator used to be
    // accepted, and are still listed.
    let normalized = model::name::normalize(distribution);
    let is_name = !normalized.is_empty()
        && normalized
            .bytes()
            .all(|c| c.is_ascii_alphanumeric() || c == b'-');
    is_name.then_some(normalized)
}

/// The key that all spellings of one file's name share: the project normalized, the version by its
/// key, the build number, and the tags as sets. None if it is not a distribution's name.
pub(crate) fn key(name: &str) -> Option<String> {
    if let Some(stem) = name.strip_suffix(".tar.gz") {
        let (distribution, version) = stem.rsplit_once('-')?;
        return Some(format!(
            "{}/{}/sdist",
            model::name::normalize(distribution),
            Version::parse(version).ok()?.key()
        ));
    }
    let wheel = Wheel::parse(name).ok()?;
    // Installers treat `01` and `1` as the same build number.
    let build = wheel.build.unwrap_or_default().to_ascii_lowercase();
    let rest = build.trim_start_matches('0');
    let build = if rest.len() < build.len() && !rest.starts_with(|c: char| c.is_ascii_digit()) {
        format!("0{rest}")
    } else {
        rest.to_owned()
    };
    let tags = wheel.tags.map(|tags| {
        let mut tags: Vec<String> = tags.split('.').map(str::to_ascii_lowercase).collect();
        tags.sort();
        tags.dedup();
        tags.join(".")
    });
    Some(format!(
        "{}/{}/{build}/{}",
        wheel.distribution.normalized(),
        wheel.version.key(),
        tags.join("/")
    ))
}

/// A wheel's name in parts.
struct Wheel<'a> {
    distribution: ProjectName,
    version: Version,
    build: Option<&'a str>,
    /// Python, ABI and platforms, each joined by `.`.
    tags: [&'a str; 3],
}

impl<'a> Wheel<'a> {
    fn parse(name: &'a str) -> Result<Self, String> {
        let invalid = |why: &str| {
            format!(
                "Invalid wheel filename '{name}': {why}. See https://packaging.python.org/specifications/binary-distribution-format for more information."
            )
        };
        let stem = name
            .strip_suffix(".whl")
            .ok_or_else(|| invalid("it does not end in .whl"))?;
        let parts: Vec<&str> = stem.split('-').collect();
        let (distribution, version, build, tags) = match parts[..] {
            [distribution, version, python, abi, platform] => {
                (distribution, version, None, [python, abi, platform])
            }
            [distribution, version, build, python, abi, platform] => {
                (distribution, version, Some(build), [python, abi, platform])
            }
            _ => return Err(invalid("it has not five or six parts between '-'")),
        };
        // Installers normalize `.x` and `x_` to names that cannot exist, and ignore the file.
        let distribution = ProjectName::parse(distribution)
            .ok()
            .filter(|name| !name.as_written().contains("__"));
        let distribution =
            distribution.ok_or_else(|| invalid("its first part is no project name"))?;
        if !has_only_version_characters(version) {
            return Err(invalid(
                "its version has other characters than versions have",
            ));
        }
        if build.is_some_and(|build| {
            !build.starts_with(|c: char| c.is_ascii_digit())
                || !build
                    .bytes()
                    .all(|c| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'.'))
        }) {
            return Err(invalid("its build number does not start with a digit"));
        }
        if tags.iter().flat_map(|tag| tag.split('.')).any(|tag| {
            tag.is_empty() || !tag.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_')
        }) {
            return Err(invalid(
                "its tags are not letters, digits and '_' joined by '.'",
            ));
        }
        let version = Version::parse(version).map_err(|error| invalid(&error.to_string()))?;
        Ok(Self {
            distribution,
            version,
            build,
            tags,
        })
    }
}

/// Platforms that PyPI accepts: those that an installer can match without knowing the machine where
/// the wheel was built. A bare `linux_x86_64` promises nothing about libraries.
fn is_supported_platform(tag: &str) -> bool {
    const EXACT: &[&str] = &[
        "any",
        "win32",
        "win_arm64",
        "win_amd64",
        "win_ia64",
        "linux_armv6l",
        "linux_armv7l",
        "manylinux1_x86_64",
        "manylinux1_i686",
        "manylinux2010_x86_64",
        "manylinux2010_i686",
        "manylinux2014_x86_64",
        "manylinux2014_i686",
        "manylinux2014_aarch64",
        "manylinux2014_armv7l",
        "manylinux2014_ppc64",
        "manylinux2014_ppc64le",
        "manylinux2014_s390x",
    ];
    const LINUX: &[&str] = &[
        "x86_64", "i686", "aarch64", "armv7l", "ppc64le", "s390x", "riscv64",
    ];
    const MACOS: &[&str] = &[
        "x86_64",
        "arm64",
        "i386",
        "ppc",
        "ppc64",
        "intel",
        "fat",
        "fat3",
        "fat64",
        "universal",
        "universal2",
    ];
    /// Since macOS 11 the second number is always 0, and after 15 the first is the year's.
    const MACOS_MAJORS: &[&str] = &["11", "12", "13", "14", "15", "26"];
    if EXACT.contains(&tag) {
        return true;
    }
    let Some((system, rest)) = tag.split_once('_') else {
        return false;
    };
    match (system, two_numbers(rest)) {
        ("manylinux", Some((_, _, machine))) => LINUX.contains(&machine) || machine == "ppc64",
        ("musllinux", Some((_, _, machine))) => LINUX.contains(&machine),
        ("macosx", Some((major, minor, machine))) => {
            let is_known = if major == "10" {
                is_number(minor)
            } else {
                MACOS_MAJORS.contains(&major) && minor == "0"
            };
            is_known && MACOS.contains(&machine)
        }
        ("ios", Some((_, _, machine))) => {
            matches!(
                machine,
                "arm64_iphoneos" | "arm64_iphonesimulator" | "x86_64_iphonesimulator"
            )
        }
        ("pyemscripten", Some((_, _, machine))) => machine == "wasm32",
        ("android", _) => rest.split_once('_').is_some_and(|(level, machine)| {
            is_number(level) && matches!(machine, "armeabi_v7a" | "arm64_v8a" | "x86" | "x86_64")
        }),
        _ => false,
    }
}

/// Two numbers and the rest, with underscores between.
fn two_numbers(text: &str) -> Option<(&str, &str, &str)> {
    let (major, rest) = text.split_once('_')?;
    let (minor, rest) = rest.split_once('_')?;
    (is_number(major) && is_number(minor)).then_some((major, minor, rest))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.len() <= 5 && text.bytes().all(|c| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wheel(name: &str) -> Result<(), String> {
        check_wheel(
            name,
            &ProjectName::parse("Sample.Project").unwrap(),
            &Version::parse("1.0").unwrap(),
            false,
        )
    }

    fn older_wheel(name: &str) -> Result<(), String> {
        check_wheel(
            name,
            &ProjectName::parse("Sample.Project").unwrap(),
            &Version::parse("1.0").unwrap(),
            true,
        )
    }

    #[test]
    fn wheels_of_real_build_tools_are_accepted() {
        for name in [
            "sample_project-1.0-py3-none-any.whl",
            "sample_project-1.0-1-py3-none-any.whl",
            "sample_project-1.0-cp39-abi3-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
            "sample_project-1.0-cp312-cp312-macosx_11_0_arm64.whl",
            "sample_project-1.0-cp312-cp312-win_amd64.whl",
            "sample_project-1.0-py2.py3-none-any.whl",
            "sample_project-1.0-cp314-cp314-pyemscripten_2026_0_wasm32.whl",
            "sample_project-1.0-cp314-cp314-macosx_26_0_arm64.whl",
            "sample_project-1.0-cp27-cp27m-macosx_10_6_intel.macosx_10_9_x86_64.whl",
            "sample_project-1.0-cp313-cp313-android_21_arm64_v8a.whl",
            "sample_project-1.0.0-py3-none-any.whl",
        ] {
            assert_eq!(wheel(name), Ok(()), "{name}");
        }
    }

    #[test]
    fn a_wheel_must_belong_to_project_and_version() {
        assert!(
            wheel("other-1.0-py3-none-any.whl")
                .unwrap_err()
                .contains("Start filename for 'Sample.Project' with 'sample_project'.")
        );
        assert_eq!(
            wheel("sample_project-1.1-py3-none-any.whl").unwrap_err(),
            "Version in filename should be '1.0' not '1.1'."
        );
    }

    #[test]
    fn a_wheel_for_some_linux_is_refused() {
        assert_eq!(
            wheel("sample_project-1.0-cp312-cp312-linux_x86_64.whl").unwrap_err(),
            "Binary wheel 'sample_project-1.0-cp312-cp312-linux_x86_64.whl' has an unsupported platform tag 'linux_x86_64'."
        );
    }

    #[test]
    fn platforms_that_no_installer_has_are_refused() {
        for platform in [
            "macosx_11_3_arm64",
            "macosx_16_0_arm64",
            "macosx_99_0_x86_64",
            "macosx_10_9_sparc",
            "pyodide_2025_0_wasm32",
            "musllinux_1_2_ppc64",
            "manylinux2014_riscv64",
            "manylinux_2_17_sparc",
            "ios_13_0_x86_64_iphoneos",
            "linux_x86_64",
            "manylinux_2_17",
        ] {
            let refused =
                wheel(&format!("sample_project-1.0-cp312-cp312-{platform}.whl")).unwrap_err();
            assert!(
                refused.contains(&format!("unsupported platform tag '{platform}'")),
                "{refused}"
            );
        }
    }

    #[test]
    fn names_as_projects_write_themselves_are_those_of_older_files() {
        for name in [
            "Sample_Project-1.0-py3-none-any.whl",
            "sample.project-1.0-py3-none-any.whl",
        ] {
            let own = name.split('-').next().unwrap();
            let expected = format!(
                "Filename '{name}' should contain the normalized project name 'sample_project', not '{own}'."
            );
            assert_eq!((wheel(name), older_wheel(name)), (Err(expected), Ok(())));
        }
        assert!(
            older_wheel("other-1.0-py3-none-any.whl").is_err()
                && older_wheel("Sample_Project-1.1-py3-none-any.whl").is_err()
        );
        let sdist = |name: &str| {
            check_sdist(
                name,
                &ProjectName::parse("Sample.Project").unwrap(),
                &Version::parse("1.0").unwrap(),
                true,
            )
        };
        for name in [
            "Sample.Project-1.0.tar.gz",
            "sample-project-1.0.tar.gz",
            "sample_project-1.0.0.tar.gz",
        ] {
            assert_eq!(sdist(name), Ok(()), "{name}");
        }
        for name in [
            "sample-1.0.tar.gz",
            "Sample.Project-1.1.tar.gz",
            "Sample.Project.tar.gz",
            ".sample-project-1.0.tar.gz",
            "Sample.Project-1.0 .tar.gz",
            "Sample.Project-1.0.zip",
        ] {
            assert!(sdist(name).is_err(), "{name}");
        }
    }

    #[test]
    fn malformed_wheel_names_are_refused() {
        for name in [
            "sample_project-1.0-py3-none.whl",
            "sample_project-x-py3-none-any.whl",
            "sample__project-1.0-py3-none-any.whl",
            "sample_project-1.0-b1-py3-none-any.whl",
            "sample_project-1.0-py3--any.whl",
            "-1.0-py3-none-any.whl",
            "_-1.0-py3-none-any.whl",
            ".sample_project-1.0-py3-none-any.whl",
            "_sample_project-1.0-py3-none-any.whl",
            "sample_project_-1.0-py3-none-any.whl",
            "sample_project.-1.0-py3-none-any.whl",
            "sample_project- 1.0-py3-none-any.whl",
            "sample_project-1.0\t-py3-none-any.whl",
        ] {
            assert!(older_wheel(name).is_err(), "{name}");
        }
    }

    #[test]
    fn a_source_distribution_has_exactly_one_name() {
        let check = |name: &str| {
            check_sdist(
                name,
                &ProjectName::parse("Sample.Project").unwrap(),
                &Version::parse("1.0").unwrap(),
                false,
            )
        };
        assert_eq!(check("sample_project-1.0.tar.gz"), Ok(()));
        assert_eq!(
            check("Sample.Project-1.0.tar.gz").unwrap_err(),
            "Filename 'Sample.Project-1.0.tar.gz' is invalid, should be 'sample_project-1.0.tar.gz'."
        );
    }

    #[test]
    fn spellings_of_one_file_share_a_key() {
        let plain = key("sample_project-1.0-py2.py3-none-any.whl").unwrap();
        for name in [
            "Sample_Project-1.0-py2.py3-none-any.whl",
            "sample.project-1.0.0-py2.py3-none-any.whl",
            "sample_project-v1.0-PY3.py2-none-any.whl",
            "sample_project-01-py2.py3.py3-NONE-any.whl",
        ] {
            assert_eq!(key(name).as_ref(), Some(&plain), "{name}");
        }
        for name in [
            "sample_project-1.0-1-py2.py3-none-any.whl",
            "sample_project-1.1-py2.py3-none-any.whl",
            "sample_project-1.0-py3-none-any.whl",
        ] {
            assert_ne!(key(name), Some(plain.clone()), "{name}");
        }
        let build = |number: &str| key(&format!("s-1.0-{number}-py3-none-any.whl"));
        assert_eq!((build("01a"), build("00")), (build("1A"), build("0")));
        assert!(build("0") != build("1") && build("0") != key("s-1.0-py3-none-any.whl"));
        assert_eq!(key("sample-1.0rc1.tar.gz"), key("Sample-1.0.RC01.tar.gz"));
        assert_eq!(key("no-name"), None);
    }

    #[test]
    fn a_name_with_a_path_or_hidden_characters_is_refused() {
        for name in [
            "../a.whl",
            "a\\b.whl",
            "a\n.whl",
            "a\u{202e}.whl",
            "",
            "a.exe",
            "a.tar.bz2",
        ] {
            assert!(check_shape(name, FileKind::Wheel).is_err(), "{name:?}");
        }
        assert!(check_shape("a.whl", FileKind::Sdist).is_err());
    }

    proptest! {
        #[test]
        fn no_name_panics_the_parser(name in "\\PC{0,60}") {
            let _ = (wheel(&name), check_shape(&name, FileKind::Wheel), project_of(&name));
        }

        /// Accepted files are found again by their names, alone or in an address.
        #[test]
        fn an_accepted_name_leads_back_to_its_project(
            written in "[a-zA-Z0-9](-|_|\\.|[a-zA-Z0-9]){0,8}",
            distribution in "[._]{0,2}[a-zA-Z0-9._]{0,8}[._]{0,2}",
            version in "v?[0-9]{1,2}(\\.[0-9]){0,2}(rc1|\\.post2|_1|\\+a_b)? ?",
            rest in "(-1[a-z]?)?-py3-none-any",
            own in any::<bool>(),
            older in any::<bool>(),
        ) {
            let Ok(project) = ProjectName::parse(&written) else { return Ok(()) };
            let Ok(parsed) = Version::parse(version.trim()) else { return Ok(()) };
            let distribution = if own { written.replace('-', "_") } else { distribution };
            for (name, kind) in [(format!("{distribution}-{version}{rest}.whl"), FileKind::Wheel), (format!("{distribution}-{version}.tar.gz"), FileKind::Sdist)] {
                let checked = match kind {
                    FileKind::Wheel => check_wheel(&name, &project, &parsed, older),
                    FileKind::Sdist => check_sdist(&name, &project, &parsed, older),
                };
                if check_shape(&name, kind).and(checked).is_ok() {
                    let leads_to = project_of(&name);
                    prop_assert_eq!(leads_to.as_deref(), Some(project.normalized()), "{}", name);
                    prop_assert!(key(&name).is_some_and(|key| key.starts_with(&format!("{}/", project.normalized()))), "{}", name);
                    prop_assert!(name.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.' | b'+' | b'!')), "{}", name);
                }
            }
        }
    }
}
