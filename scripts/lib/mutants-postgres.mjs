export const postgresMutants = [];
