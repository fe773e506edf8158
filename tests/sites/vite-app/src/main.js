import "./style.css";

document.body.textContent = "Everything that was ever noted.";
