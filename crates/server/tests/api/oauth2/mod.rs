mod secrets;
mod token;
