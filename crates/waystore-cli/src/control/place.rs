//! Where the control socket is. In the data directory; a path that is too long for a socket is
//! replaced by one in a directory of the user's own, whose name the data directory keeps.

use std::{
    env,
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

/// The socket's name.
const SOCKET: &str = "control.sock";
/// The file that keeps its path where it is elsewhere.
const ELSEWHERE: &str = "control.path";
/// What fits into a socket's address, the byte that ends it included, on every Unix.
const LONGEST: usize = 103;

/// The path at which a gateway that holds `data` binds its socket, made ready for it: a stale one is gone.
pub(super) fn prepare(data: &Path) -> io::Result<PathBuf> {
    // Absolute: whoever looks for it may stand elsewhere, and has to come to the same end.
    let data = &data.canonicalize()?;
    remove(&data.join(ELSEWHERE))?;
    let own = data.join(SOCKET);
    remove(&own)?;
    if own.as_os_str().len() <= LONGEST {
        return Ok(own);
    }
    let runtime = env::var_os("XDG_RUNTIME_DIR").map_or_else(env::temp_dir, PathBuf::from);
    let hash = blake3::hash(data.as_os_str().as_encoded_bytes()).to_hex();
    let folder = runtime.join(format!("waystore-{}-{}", rustix::process::getuid().as_raw(), &hash[..16]));
    own_folder(&folder)?;
    let elsewhere = folder.join(SOCKET);
    if elsewhere.as_os_str().len() > LONGEST {
        let text = format!("`{}` is too long for a socket; set XDG_RUNTIME_DIR to a shorter path", elsewhere.display());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    remove(&elsewhere)?;
    fs::write(data.join(ELSEWHERE), elsewhere.as_os_str().as_encoded_bytes())?;
    Ok(elsewhere)
}

/// The path of the socket of the gateway that holds `data`, should there be one.
pub(super) fn find(data: &Path) -> PathBuf {
    let absolute = data.canonicalize();
    let data = absolute.as_deref().unwrap_or(data);
    match fs::read_to_string(data.join(ELSEWHERE)) {
        Ok(elsewhere) => PathBuf::from(elsewhere),
        Err(_) => data.join(SOCKET),
    }
}

/// Makes a folder that nobody else may enter, or finds that it is one.
fn own_folder(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => return made,
    }
    // In a place where anybody may make folders, anybody may have made this one.
    let metadata = fs::symlink_metadata(folder)?;
    let own = metadata.is_dir() && metadata.uid() == rustix::process::getuid().as_raw() && metadata.mode() & 0o077 == 0;
    let foreign =
        || io::Error::new(io::ErrorKind::PermissionDenied, format!("`{}` is somebody else's", folder.display()));
    if own { Ok(()) } else { Err(foreign()) }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_path_is_in_the_data_directory_and_a_stale_socket_goes() {
        let data = tempfile::tempdir().unwrap();
        fs::write(data.path().join(SOCKET), "").unwrap();
        fs::write(data.path().join(ELSEWHERE), "/nowhere").unwrap();
        let place = prepare(data.path()).unwrap();
        assert_eq!(place, data.path().join(SOCKET));
        assert!(!place.exists());
        assert_eq!(find(data.path()), place);
    }

    #[test]
    fn a_long_path_is_kept_in_the_data_directory() {
        let home = tempfile::tempdir().unwrap();
        let data = home.path().join("d".repeat(120));
        fs::create_dir(&data).unwrap();
        let place = prepare(&data).unwrap();
        assert!(place.as_os_str().len() <= LONGEST);
        assert_eq!(find(&data), place);
        fs::remove_dir(place.parent().unwrap()).unwrap();
    }
}
